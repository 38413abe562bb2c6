package leaktest

import (
	"os"
	"testing"
	"time"
)

// tests is a *testing.M.
type tests func() int

func (run tests) Run() int { return run() }

func TestWhatTestsLeaveFailsThem(t *testing.T) {
	stop := make(chan struct{})
	defer close(stop)
	var file *os.File
	for _, v := range []struct {
		name string
		run  tests
		want int
	}{
		{"nothing", func() int { return 0 }, 0},
		{"a failure", func() int { return 2 }, 2},
		{"a goroutine that ends", func() int { go func() {}(); return 0 }, 0},
		{"a goroutine", func() int { go func() { <-stop }(); return 0 }, 1},
		{"a descriptor", func() int { file, _ = os.Open(os.DevNull); return 0 }, 1},
	} {
		if v.name == "a descriptor" && openFiles() == 0 {
			continue // no /proc here
		}
		if got := run(v.run, 100*time.Millisecond); got != v.want {
			t.Errorf("%s: status %d, want %d", v.name, got, v.want)
		}
	}
	if file != nil {
		file.Close()
	}
}
