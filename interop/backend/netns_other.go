//go:build !linux

package backend

import "runtime"

// Main returns at once: only Linux has the namespaces for which the program starts itself again.
func Main() {}

func netns() (Backend, string) { return nil, "there are no network namespaces on " + runtime.GOOS }
