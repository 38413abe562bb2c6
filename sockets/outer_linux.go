package sockets

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// stageVariable tells the process that is to supervise so, by the pid of the process that started it, and after a colon the descriptor of
// its will. A program that runs under a supervisor and starts another one has another parent.
const stageVariable = "QUIVER_RUN_STAGE"

// needed are the capabilities of a supervisor: to enter the fabric and filter calls, to hold SYNs and answer them, to send from ports
// below 1024, and to read the arguments of programs that hide their memory.
var needed = []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_NET_ADMIN, unix.CAP_NET_RAW, unix.CAP_NET_BIND_SERVICE, unix.CAP_SYS_PTRACE}

// supervising reports whether this process was started to supervise.
func supervising() bool {
	pid, _, _ := strings.Cut(os.Getenv(stageVariable), ":")
	return pid == strconv.Itoa(os.Getppid())
}

// mayAll reports whether this process has all capabilities that a supervisor needs.
func mayAll() bool {
	var data [2]unix.CapUserData
	if err := unix.Capget(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &data[0]); err != nil {
		return false
	}
	for _, c := range needed {
		if data[c/32].Effective&(1<<(c%32)) == 0 {
			return false
		}
	}
	return true
}

// watch starts the supervisor, hands signals on to it, and returns the exit status. If the supervisor dies, it ends all that it left.
func watch(c *Config) (int, error) {
	runtime.LockOSThread() // the supervisor is told when the thread that started it ends
	defer runtime.UnlockOSThread()
	unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

	signals := make(chan os.Signal, 16)
	hearAll := hear(signals)
	defer signal.Stop(signals)

	cmd := supervisorCommand(c)
	left, err := startWithWill(cmd)
	if err != nil {
		return 0, cannotStart(err)
	}
	hearAll()
	go func() {
		for s := range signals {
			if fromTerminal(s) {
				continue
			}
			cmd.Process.Signal(s)
		}
	}()
	err = cmd.Wait()
	state, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !ok {
		return 0, err
	}
	if !state.Signaled() && len(descendants(os.Getpid())) == 0 {
		return state.ExitStatus(), nil
	}
	var both sync.WaitGroup
	both.Go(func() { left.execute(resetLimit) })
	ended := endChildren(os.Getpid(), endLimit)
	both.Wait()
	how := fmt.Sprintf("by status %d", state.ExitStatus())
	if state.Signaled() {
		how = "by " + state.Signal().String()
	}
	return 0, fmt.Errorf("the supervisor was ended %s; its program has no connections any more and was ended too (%d processes)", how, ended)
}

// supervisorCommand is the command that supervises: this program again, in a user namespace of its own if it may not do all that it must. There
// every user is who they are outside, so that the program sees no difference.
func supervisorCommand(c *Config) *exec.Cmd {
	cmd := exec.Command(c.Self[0], c.Self[1:]...)
	cmd.Env = os.Environ()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.files()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if mayAll() {
		return cmd
	}
	uid, gid := os.Geteuid(), os.Getegid()
	cmd.SysProcAttr.Cloneflags = unix.CLONE_NEWUSER
	cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}}
	cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: gid, HostID: gid, Size: 1}}
	cmd.SysProcAttr.AmbientCaps = needed
	return cmd
}

// files returns the three standard files.
func (c *Config) files() (in, out, err *os.File) {
	in, out, err = os.Stdin, os.Stdout, os.Stderr
	if c.Stdin != nil {
		in = c.Stdin
	}
	if c.Stdout != nil {
		out = c.Stdout
	}
	if c.Stderr != nil {
		err = c.Stderr
	}
	return in, out, err
}

// cannotStart explains why no supervisor could be started.
func cannotStart(err error) error {
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("this machine lets user %d make no user namespace: %w", os.Geteuid(), err)
	}
	return fmt.Errorf("start the supervisor: %w", err)
}

// endChildren ends all processes below pid, first politely, and returns how many there were.
func endChildren(pid int, limit time.Duration) int {
	seen := map[int]bool{}
	signalAll := func(s syscall.Signal) int {
		pids := descendants(pid)
		for _, p := range pids {
			seen[p] = true
			syscall.Kill(p, s)
		}
		return len(pids)
	}
	for deadline := time.Now().Add(limit); ; {
		politely := time.Now().Before(deadline)
		s := syscall.SIGTERM
		if !politely {
			s = syscall.SIGKILL
		}
		if signalAll(s) == 0 {
			reap()
			return len(seen)
		}
		if !politely && time.Now().After(deadline.Add(limit)) {
			return len(seen)
		}
		reap()
		time.Sleep(50 * time.Millisecond)
	}
}

// reap collects the children that have ended.
func reap() {
	for {
		pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		if pid <= 0 || err != nil {
			return
		}
	}
}
