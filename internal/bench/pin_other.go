//go:build !linux

package bench

import "os/exec"

func startPinned(c *exec.Cmd, cpu int) error { return c.Start() }

func loadAverage() float64 { return 0 }
