//go:build !linux

package backend

import "os/exec"

func ownGroup(*exec.Cmd) {}

func killTree(cmd *exec.Cmd) { cmd.Process.Kill() }

func sweepGroup(*exec.Cmd) {}
