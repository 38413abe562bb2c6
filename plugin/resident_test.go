package plugin_test

import (
	"fmt"
	"os"
	"runtime/debug"
	"testing"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/plugin"
)

// residentPerConnection attaches m to n connections, each of which calls it, and returns how much memory that took in this process.
func residentPerConnection(t testing.TB, m *plugin.Module, n int) (bytes int, ok bool) {
	before, ok := resident()
	if !ok {
		return 0, false
	}
	var all []hook.Extension
	for range n {
		x, _ := attached(t, m)
		sample(x)
		all = append(all, x)
	}
	after, _ := resident()
	for _, x := range all {
		x.Detach(hook.DetachClosed)
	}
	return (after - before) / n, true
}

// resident is how many bytes of memory the process holds, after what it does not need was given back.
func resident() (bytes int, ok bool) {
	debug.FreeOSMemory()
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, false
	}
	var size, pages int
	if _, err := fmt.Sscan(string(text), &size, &pages); err != nil {
		return 0, false
	}
	return pages * os.Getpagesize(), true
}
