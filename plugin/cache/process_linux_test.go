//go:build amd64 || arm64

package cache_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"unsafe"

	"github.com/seed51309289/quiver/plugin/cache"
)

func init() { roles["half"], roles["resign"] = writeHalf, resign }

// limitFiles has the kernel end this process, as SIGKILL would, when it writes more than n bytes to a file. Go's own handler of the signal would
// turn it into an error.
func limitFiles(n int) error {
	var action struct{ handler, flags, restorer, mask uintptr }
	_, _, errno := syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(syscall.SIGXFSZ), uintptr(unsafe.Pointer(&action)), 0, unsafe.Sizeof(action.mask), 0, 0)
	if errno != 0 {
		return errno
	}
	return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: uint64(n), Max: uint64(n)})
}

// writeHalf stores a package and may write n bytes of it: the kernel ends the process at the next.
func writeHalf(dir string, n int) error {
	c, err := cache.Open(dir, cache.Options{})
	if err != nil {
		return err
	}
	if err := limitFiles(n); err != nil {
		return err
	}
	_, err = c.Put(sized(3))
	return err
}

// resign stores package 1 with another signature, and may write files of n bytes: its own is shorter, the index longer.
func resign(dir string, n int) error {
	c, err := cache.Open(dir, cache.Options{})
	if err != nil {
		return err
	}
	if err := limitFiles(n); err != nil {
		return err
	}
	_, err = c.Put(signed(plugin(1, 10), "bob"))
	return err
}

// TestAWriterThatDiesBetweenFileAndIndexLeavesBothTrue: a file that the index is wrong about would count as damaged.
func TestAWriterThatDiesBetweenFileAndIndexLeavesBothTrue(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir, cache.Options{})
	b := signed(plugin(1, 10), "alice")
	put(t, c, b)
	for n := range 20 {
		put(t, c, plugin(2+n, 10))
	}
	const most = 1000
	if info, err := os.Stat(filepath.Join(dir, "index")); err != nil || info.Size() <= most || len(b) >= most {
		t.Fatalf("the index has %d bytes (%v), the package %d: want %d between them", info.Size(), err, len(b), most)
	}
	wantKilled(t, process("resign", dir, most))
	if _, err := c.Get(digest(b)); err != nil {
		t.Errorf("a package that nobody damaged: %v", err)
	}
	wantWhole(t, dir, "in the end")
}

// wantKilled runs a process that writes a file longer than it may.
func wantKilled(t *testing.T, child *exec.Cmd) {
	t.Helper()
	err := child.Run()
	if status, ok := child.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGXFSZ {
		t.Fatalf("the writer was to end within a file, and ended with %v", err)
	}
}

// TestAWriterThatDiesHalfwayLeavesNoHalfFile ends a process where SIGKILL can end it, too, and seldom does: between two bytes of a file.
func TestAWriterThatDiesHalfwayLeavesNoHalfFile(t *testing.T) {
	dir := t.TempDir()
	put(t, open(t, dir, cache.Options{}), sized(1))
	for _, n := range []int{1, 700, len(sized(3)) - 1} {
		wantKilled(t, process("half", dir, n))
		half, _ := filepath.Glob(filepath.Join(dir, "sha256", ".new-*"))
		if len(half) != 1 {
			t.Errorf("%v are half written, want one: the process did not end where it should", half)
		}
		if _, err := open(t, dir, cache.Options{}).Get(digest(sized(3))); err != cache.ErrMissing {
			t.Errorf("after %d bytes: %v, want it missing", n, err)
		}
		wantWhole(t, dir, fmt.Sprintf("after %d bytes", n))
		wantIDs(t, open(t, dir, cache.Options{}), "p1")
	}
}
