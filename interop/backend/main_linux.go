package backend

import (
	"os"
	"os/exec"
	"sync/atomic"
	"syscall"
)

// The names under which the program starts itself again.
const (
	sandboxName  = "quiver-sandbox"
	launcherName = "quiver-launcher"
)

var mainCalled atomic.Bool

// Main must be the first statement of a program, or of a test's TestMain, that runs jobs on the netns backend: when this process is the
// sandbox or a launcher of such a job, Main does that work and never returns. Otherwise it returns at once.
func Main() {
	mainCalled.Store(true)
	if len(os.Args) != 1 {
		return
	}
	switch os.Args[0] {
	case sandboxName:
		os.Exit(sandboxMain())
	case launcherName:
		os.Exit(launcherMain())
	}
}

// again is this program, to be started as one of the names above in namespaces of its own. The kernel's link to the running file also
// works for a file that has been replaced or cannot be opened by its path.
func again(name string, namespaces uintptr, files ...*os.File) *exec.Cmd {
	return &exec.Cmd{
		Path:        "/proc/self/exe",
		Args:        []string{name},
		Env:         os.Environ(),
		Dir:         "/",
		ExtraFiles:  files, // from descriptor 3 on
		SysProcAttr: &syscall.SysProcAttr{Cloneflags: namespaces, Pdeathsig: syscall.SIGKILL},
	}
}
