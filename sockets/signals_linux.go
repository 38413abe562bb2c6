package sockets

import (
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// forwarded are the signals that are meant for the program when they reach us. Those that stop and continue reach the whole group.
var forwarded = []os.Signal{
	syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGWINCH, syscall.SIGALRM,
}

// hear brings the forwarded signals to c from now on, but for those that this process was started to ignore, as under nohup and in the
// background of a script. They come when later is called: what is started until then ignores them too, as it would have without us.
func hear(c chan<- os.Signal) (later func()) {
	var heeded, ignored []os.Signal
	for _, s := range forwarded {
		if signal.Ignored(s) {
			ignored = append(ignored, s)
		} else {
			heeded = append(heeded, s)
		}
	}
	signal.Notify(c, heeded...)
	return func() {
		if len(ignored) > 0 { // none would mean all
			signal.Notify(c, ignored...)
		}
	}
}

// fromTerminal reports whether a signal reached the program without us: the terminal sends it to everybody in the foreground.
func fromTerminal(s os.Signal) bool {
	switch s {
	case syscall.SIGINT, syscall.SIGQUIT, syscall.SIGWINCH, syscall.SIGHUP:
	default:
		return false
	}
	tty, err := os.Open("/dev/tty")
	if err != nil {
		return false // nobody but a process can have sent it
	}
	defer tty.Close()
	group, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}
