//go:build unix

package cache_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed51309289/quiver/plugin/cache"
)

// roles are what this test program does when it is started as a process of its own, with a directory and a number.
var roles = map[string]func(dir string, n int) error{
	"write": writeForever,
	"share": shareCache,
	"read":  readOnly,
}

const roleVariable = "CACHE_TEST_ROLE"

func TestMain(m *testing.M) {
	role := os.Getenv(roleVariable)
	if role == "" {
		os.Exit(m.Run())
	}
	n, err := strconv.Atoi(os.Args[2])
	if err == nil {
		err = roles[role](os.Args[1], n)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func process(role, dir string, n int) *exec.Cmd {
	cmd := exec.Command(os.Args[0], dir, strconv.Itoa(n))
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	return cmd
}

// sizes keep packages of different lengths in the cache, so that a file written over another one would show.
func sized(n int) []byte { return plugin(n, 1000+n*3000) }

// writeForever stores packages, and the same with other signatures, until it is killed. It says so on stdout after each.
func writeForever(dir string, seed int) error {
	c, err := cache.Open(dir, cache.Options{MaxPackages: 3})
	if err != nil {
		return err
	}
	luck := rand.New(rand.NewPCG(uint64(seed), 0))
	for {
		b := signed(sized(luck.IntN(16)/5), fmt.Sprint(luck.IntN(3))) // most of the time it replaces the same with other signatures
		if _, err := c.Put(b); err != nil {
			return err
		}
		fmt.Println(digest(b))
	}
}

// TestAKilledWriterLeavesNoHalfFile kills a process with SIGKILL in the middle of its writes, time and again, in one directory.
func TestAKilledWriterLeavesNoHalfFile(t *testing.T) {
	const seed = 1
	dir, luck := t.TempDir(), rand.New(rand.NewPCG(seed, 2))
	for round := range 24 {
		child := process("write", dir, round)
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		var talk bytes.Buffer
		child.Stderr = &talk
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		lines.Scan()
		first, n := time.Now(), 1+luck.IntN(5)
		for range n {
			lines.Scan()
		}
		time.Sleep(time.Duration(luck.Float64() * float64(time.Since(first)) / float64(n))) // it dies anywhere between two lines
		child.Process.Kill()
		io.Copy(io.Discard, out)
		err = child.Wait()
		if status, ok := child.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
			t.Fatalf("round %d: the writer ended by itself: %v %s", round, err, talk.String())
		}
		wantWhole(t, dir, fmt.Sprintf("seed %d, round %d", seed, round))
	}
}

// wantWhole says that every package in dir is whole and known, that all of them can be read, and that a change leaves nothing half written.
func wantWhole(t *testing.T, dir, when string) {
	t.Helper()
	before := packages(t, dir)
	c := open(t, dir, cache.Options{})
	list, err := c.List()
	if err != nil || len(list) != len(before) {
		t.Errorf("%s: %d packages are listed (%v) of %d files: some were damaged", when, len(list), err, len(before))
	}
	for _, e := range list {
		if _, err := c.Get(e.Digest); err != nil {
			t.Errorf("%s: %s@%s: %v", when, e.ID, e.Version, err)
		}
	}
	for _, pattern := range []string{".new-*", "sha256/.new-*"} {
		if left, _ := filepath.Glob(filepath.Join(dir, pattern)); len(left) > 0 {
			t.Errorf("%s: left half written: %v", when, left)
		}
	}
}

func packages(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "sha256", "*.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// shareCache does everything that a cache can do, in a random order.
func shareCache(dir string, seed int) error {
	c, err := cache.Open(dir, cache.Options{MaxPackages: 6})
	if err != nil {
		return err
	}
	luck := rand.New(rand.NewPCG(uint64(seed), 1))
	for range 60 {
		b := sized(luck.IntN(10))
		switch luck.IntN(8) {
		case 0, 1:
			if _, err := c.Put(b); err != nil {
				return err
			}
		case 2:
			if _, err := c.Put(signed(b, fmt.Sprint(luck.IntN(3)))); err != nil {
				return err
			}
		case 3:
			if err := c.Remove(digest(b)); err != nil && !errors.Is(err, cache.ErrMissing) {
				return err
			}
		case 4:
			if _, err := c.List(); err != nil {
				return err
			}
		default:
			// Missing is fine, damaged is not: nobody damages anything here.
			if _, err := c.Get(digest(b)); err != nil && err != cache.ErrMissing {
				return err
			}
		}
	}
	return nil
}

func TestSeveralProcessesShareACache(t *testing.T) {
	dir := t.TempDir()
	var children []*exec.Cmd
	var talks []*bytes.Buffer
	for seed := range 4 {
		child, talk := process("share", dir, seed), &bytes.Buffer{}
		child.Stderr = talk
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		children, talks = append(children, child), append(talks, talk)
	}
	for i, child := range children {
		if err := child.Wait(); err != nil {
			t.Errorf("process %d: %v: %s", i, err, talks[i])
		}
	}
	if n := len(packages(t, dir)); n > 6 {
		t.Errorf("%d packages, at most 6 are allowed", n)
	}
	wantWhole(t, dir, "in the end")
}

func TestSeveralGoroutinesShareACache(t *testing.T) {
	dir := t.TempDir()
	ended := make(chan error)
	for seed := range 4 {
		go func() { ended <- shareCache(dir, seed) }()
	}
	for range 4 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	wantWhole(t, dir, "in the end")
}

// nobody is a user without rights, for tests that run as root, for whom nothing is read-only.
const nobody = 65534

// readOnly uses a cache that it cannot write.
func readOnly(dir string, _ int) error {
	if os.Geteuid() == 0 {
		if err := errors.Join(syscall.Setgroups(nil), syscall.Setgid(nobody), syscall.Setuid(nobody)); err != nil {
			return err
		}
	}
	c, err := cache.Open(dir, cache.Options{})
	if err != nil {
		return err
	}
	b := plugin(1, 10)
	if _, err := c.Get(digest(b)); err != nil {
		return fmt.Errorf("reading: %w", err)
	}
	bad := plugin(2, 10)
	if _, err := c.Get(digest(bad)); !errors.Is(err, cache.ErrMissing) || !strings.Contains(err.Error(), "is damaged, and stays so: ") {
		return fmt.Errorf("a damaged package: %v", err)
	}
	_, err = c.Put(plugin(3, 10))
	fmt.Println(err)
	_, err = c.Clear()
	fmt.Println(err)
	err = c.Remove(digest(b))
	fmt.Println(err)
	_, err = cache.Open(filepath.Join(dir, "inner"), cache.Options{})
	fmt.Println(err)
	return nil
}

func TestAReadOnlyCacheIsReadAndSaysThatItCannotBeWritten(t *testing.T) {
	top := t.TempDir()
	dir := filepath.Join(top, "cache")
	c := open(t, dir, cache.Options{})
	put(t, c, plugin(1, 10), plugin(2, 10))
	if err := os.WriteFile(fileOf(c, plugin(2, 10)), []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	asRoot := os.Geteuid() == 0
	for d := top; asRoot && d != os.TempDir() && len(d) > 1; d = filepath.Dir(d) {
		os.Chmod(d, 0o755) // nobody must come this far
	}
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		mode := os.FileMode(0o400)
		if err == nil && e.IsDir() {
			mode = 0o500
		}
		if asRoot {
			err = errors.Join(err, os.Chown(path, nobody, nobody))
		}
		return errors.Join(err, os.Chmod(path, mode))
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, d := range []string{dir, filepath.Join(dir, "sha256"), filepath.Join(dir, "compiled")} {
			os.Chmod(d, 0o700)
		}
	})
	child := process("read", dir, 0)
	var talk bytes.Buffer
	child.Stderr = &talk
	out, err := child.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, talk.String())
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) != 4 {
		t.Fatalf("%d lines, want 4:\n%s", len(lines), out)
	}
	for _, line := range lines {
		if !strings.HasPrefix(line, "plugin cache "+dir) || !strings.Contains(line, "permission denied; make it writable, or name another directory") {
			t.Errorf("%s\nwant the directory, the cause and a way out", line)
		}
	}
}
