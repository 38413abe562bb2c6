package backend

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	defaultPath    = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	defaultHome    = "/tmp"
	maxStatus      = 4096 // bytes of what a launcher reports
	statusPrepared = "prepared\n"
	exitNoLaunch   = 125 // of a launcher that could not become its program

	// endpointNice makes the endpoints give way to the simulator, which must not be late. With eight jobs on two busy cores half as many
	// packets were more than a millisecond late as without it, and the worst was late by 24 instead of 56 ms.
	endpointNice = 5
)

// launch is what a launcher is told, once its link is there. Paths are those of the host.
type launch struct {
	Role                        string
	Program                     Program // Argv[0] is absolute
	Root                        string  // existing directory to build the new root on
	Certs, WWW, Downloads, Logs string  // "" = empty directory
}

// launcherMain makes the network and the file system of one endpoint, waits for the word, and becomes the program. It reads a launch
// and the word, any byte, from descriptor 3. To descriptor 4 it writes statusPrepared when it begins to wait and a sentence if something
// fails; the program starting closes it.
func launcherMain() int {
	unix.CloseOnExec(3)
	unix.CloseOnExec(4)
	status := os.NewFile(4, "status")
	if err := becomeProgram(os.NewFile(3, "orders"), status); err != nil {
		fmt.Fprint(status, err)
	}
	return exitNoLaunch
}

func becomeProgram(orders, status *os.File) error {
	var l launch
	in := bufio.NewReader(orders)
	if err := readLine(in, &l); err != nil {
		return fmt.Errorf("orders: %w", err)
	}
	if err := unix.Sethostname([]byte(l.Role)); err != nil {
		return fmt.Errorf("host name: %w", err)
	}
	if err := configurePeer(l.Role); err != nil {
		return err
	}
	path, err := buildRoot(&l)
	if err != nil {
		return err
	}
	io.WriteString(status, statusPrepared)
	if _, err := in.ReadByte(); err != nil {
		return fmt.Errorf("orders: %w", err)
	}
	runtime.LockOSThread() // the thread that gives way is the one that becomes the program
	unix.Setpriority(unix.PRIO_PROCESS, 0, endpointNice)
	env := withDefaults(l.Program.Env, defaultPath, defaultHome)
	if err := syscall.Exec(path, l.Program.Argv, env); err != nil {
		return fmt.Errorf("%s: %w", l.Program.Argv[0], err)
	}
	return nil
}

// programPath returns where in the new root the file at host path is found, and whether it must be put there because the directory that
// it lives in is one of those that are made anew.
func programPath(path string) (inside string, put bool) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return path, false // the exec will say what is wrong
	}
	for _, p := range []string{path, real} {
		if madeAnew[topOf(p)] {
			return filepath.Join("/peer", filepath.Base(path)), true
		}
	}
	return path, false
}

// topOf returns the first element of an absolute path.
func topOf(path string) string {
	top, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return top
}
