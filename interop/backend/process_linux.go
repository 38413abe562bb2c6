package backend

import (
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// ownGroup makes cmd the leader of a process group that dies with us.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// killTree kills cmd, which has not been waited for, with its process group if it leads one.
func killTree(cmd *exec.Cmd) {
	if leadsGroup(cmd) {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
	cmd.Process.Kill()
}

// sweepGroup waits until cmd has ended and kills what is left of its group. It leaves cmd itself to be waited for, which keeps
// the number of the group from being given to someone else meanwhile.
func sweepGroup(cmd *exec.Cmd) {
	if !leadsGroup(cmd) {
		return
	}
	for {
		err := unix.Waitid(unix.P_PID, cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			break
		}
	}
	syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
}

func leadsGroup(cmd *exec.Cmd) bool { return cmd.SysProcAttr != nil && cmd.SysProcAttr.Setpgid }
