package bench

import (
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"
)

// startOn starts c on one processor, or anywhere if cpu is negative or there is
// only one: a child has the affinity of the thread that forks it, so that its
// runtime sees one processor from the start.
func startOn(c *exec.Cmd, cpu int) error {
	if cpu < 0 || runtime.NumCPU() < 2 {
		return c.Start()
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return err
	}
	one.Set(cpu)
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return err
	}
	defer unix.SchedSetaffinity(0, &before)
	return c.Start()
}
