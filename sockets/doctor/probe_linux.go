package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/seed51309289/quiver/internal/seccomp"
	"golang.org/x/sys/unix"
)

// probeFacts are what probe finds out, as yet untried.
func probeFacts() []Fact {
	return []Fact{
		{Name: "set-namespace", What: "mode inside: the program starts in that network", Need: Inside, Hint: "mode outside needs it not"},
		{Name: "program-memory", What: "a bind to an address that this host lacks fails"},
	}
}

// probe tries what needs privileges, of root or of a user namespace, and writes
// the facts. It runs in a process of its own.
func probe(w io.Writer) int {
	facts := probeFacts()
	facts[0] = facts[0].tried(trySetns())
	facts[1] = programMemory(facts[1])
	if err := json.NewEncoder(w).Encode(facts); err != nil {
		return 1
	}
	return 0
}

// trySetns makes a network namespace on one thread and enters it on another.
func trySetns() error {
	made := -1
	err := seccomp.OnThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("unshare: %w", err)
		}
		fd, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("open the namespace: %w", err)
		}
		made = fd
		return nil
	})
	if err != nil {
		return err
	}
	defer unix.Close(made)
	return seccomp.OnThread(func() error {
		if err := unix.Setns(made, unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("setns: %w", err)
		}
		return nil
	})
}

// programMemory looks into the memory of a process that was started here, as a
// supervisor does to see what address a program binds to.
func programMemory(f Fact) Fact {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	cmd := again(ctx, idleName)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return f.tried(err)
	}
	if err := cmd.Start(); err != nil {
		return f.tried(err)
	}
	defer func() {
		stdin.Close()
		cmd.Wait()
	}()
	var b [1]byte
	local := []unix.Iovec{{Base: &b[0], Len: 1}}
	_, err = unix.ProcessVMReadv(cmd.Process.Pid, local, []unix.RemoteIovec{{Base: 0, Len: 1}}, 0)
	if err == unix.EFAULT { // permitted; nothing is at 0
		return f.there("")
	}
	if scope := readFile("/proc/sys/kernel/yama/ptrace_scope"); scope == "2" || scope == "3" {
		return f.missing("Yama forbids it (sysctl kernel.yama.ptrace_scope is "+scope+")", "as root: sysctl -w kernel.yama.ptrace_scope=1, which after 3 takes a reboot")
	}
	return f.missing(fmt.Sprintf("process_vm_readv: %v", err), fmt.Sprintf("user %d may not look into its own processes; a filter around may forbid it", os.Geteuid()))
}
