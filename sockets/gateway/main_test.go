package gateway

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "gateway")
	if err != nil {
		panic(err)
	}
	os.Setenv("QUIVER_RUNTIME_DIR", dir+"/run")
	os.Setenv("QUIVER_STATE_DIR", dir+"/state")
	before := runtime.NumGoroutine()
	code := m.Run()
	os.RemoveAll(dir)
	fuzzing := flag.Lookup("test.fuzz").Value.String() != "" // the machinery has goroutines of its own
	if code == 0 && !fuzzing && leaked(before) {
		code = 1
	}
	os.Exit(code)
}

// leaked waits for goroutines that are about to end, and tells those that do not.
func leaked(before int) bool {
	for range 200 {
		if runtime.NumGoroutine() <= before {
			return false
		}
		time.Sleep(10 * time.Millisecond)
	}
	stacks := make([]byte, 1<<20)
	fmt.Fprintf(os.Stderr, "%d goroutines, %d before the tests:\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
	return true
}
