package main

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/nstest"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

var update = flag.Bool("update", false, "write the golden files anew")

const (
	playVar   = "QUIVER_TEST_PLAYS_PROBE" // this test binary is the probe
	wholeVar  = "QUIVER_PROBE"            // ask everything in every way
	worldTime = 9 * time.Minute           // how long the tests of one namespace may take
)

func TestMain(m *testing.M) {
	if os.Getenv(playVar) != "" {
		os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// whole skips what takes long, unless it is asked for.
func whole(t *testing.T) {
	t.Helper()
	if os.Getenv(wholeVar) == "" {
		t.Skipf("asked only with %s=1", wholeVar)
	}
}

// enterNamespace is nstest.Enter; loopback is up there.
func enterNamespace(t *testing.T) bool {
	t.Helper()
	if !nstest.Enter(t, fmt.Sprint("-test.timeout=", worldTime), fmt.Sprint("-update=", *update)) {
		return false
	}
	linkUp(t, "lo")
	return true
}

func linkUp(t *testing.T, name string) {
	t.Helper()
	link, err := netlink.LinkByName(name)
	if err == nil {
		err = netlink.LinkSetUp(link)
	}
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// world is where the asker and the counterpart are: a network namespace each, or the same.
type world struct {
	name      string // of the golden file
	four, six string // of the counterpart's host
	far       netns.NsHandle
}

func loopbackWorld(*testing.T) *world {
	return &world{name: "loopback", four: "127.0.0.1", six: "::1", far: netns.None()}
}

// vethWorld makes a second namespace and a veth pair to it.
func vethWorld(t *testing.T) *world {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	near, err := netns.Get()
	fatal(t, err)
	defer near.Close()
	far, err := netns.New()
	fatal(t, err)
	t.Cleanup(func() { far.Close() })
	linkUp(t, "lo")
	fatal(t, netns.Set(near))
	fatal(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "near"}, PeerName: "far", PeerNamespace: netlink.NsFd(far)}))
	addresses(t, "near", "10.77.0.1/24", "fd77::1/64")
	fatal(t, netns.Set(far))
	addresses(t, "far", "10.77.0.2/24", "fd77::2/64")
	fatal(t, netns.Set(near))
	return &world{name: "veth", four: "10.77.0.2", six: "fd77::2", far: far}
}

func fatal(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// addresses gives a link its addresses, of use at once, and sets it up.
func addresses(t *testing.T, link string, list ...string) {
	t.Helper()
	l, err := netlink.LinkByName(link)
	fatal(t, err)
	for _, a := range list {
		addr, err := netlink.ParseAddr(a)
		fatal(t, err)
		addr.Flags = unix.IFA_F_NODAD
		fatal(t, netlink.AddrAdd(l, addr))
	}
	fatal(t, netlink.LinkSetUp(l))
}

// start starts a program, in the far namespace if it is the counterpart's.
func (w *world) start(t *testing.T, far bool, cmd *exec.Cmd) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if far && w.far.IsOpen() {
		near, err := netns.Get()
		fatal(t, err)
		defer near.Close()
		fatal(t, netns.Set(w.far))
		defer func() { fatal(t, netns.Set(near)) }()
	}
	cmd.Env = append(os.Environ(), playVar+"=1")
	fatal(t, cmd.Start())
}

// port is the counterpart's: below the ephemeral ones, so that nobody has it.
const port = 7000

// serve starts the counterpart and returns once it listens; it ends with the test.
func (w *world) serve(t *testing.T, command ...string) (to []string) {
	t.Helper()
	cmd := exec.Command(command[0], append(command[1:], "serve", "--until-eof", fmt.Sprintf(":%d", port))...)
	hold, err := cmd.StdinPipe()
	fatal(t, err)
	out, err := cmd.StdoutPipe()
	fatal(t, err)
	errs := &lockedBuffer{}
	cmd.Stderr = errs
	w.start(t, true, cmd)
	t.Cleanup(func() {
		hold.Close()
		finish(t, cmd)
		if s := errs.String(); s != "" {
			t.Logf("the counterpart said:\n%s", s)
		}
	})
	ready := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(out).ReadString('\n')
		ready <- line
	}()
	select {
	case line := <-ready:
		if !strings.HasPrefix(line, "listening on port ") {
			t.Fatalf("the counterpart said %q\n%s", line, errs)
		}
	case <-time.After(20 * time.Second):
		t.Fatalf("the counterpart does not listen\n%s", errs)
	}
	return []string{fmt.Sprintf("%s:%d", w.four, port), fmt.Sprintf("[%s]:%d", w.six, port)}
}

// finish waits for a program that was told to end, and ends it if it does not.
func finish(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("%s: %v", cmd.Args[0], err)
		}
	case <-time.After(10 * time.Second):
		t.Errorf("%s does not end", cmd.Args[0])
		cmd.Process.Kill()
		<-done
	}
}

// lockedBuffer is written by a program and read by a test.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// asking is a program that asks, under way.
type asking struct {
	cmd       *exec.Cmd
	out, errs bytes.Buffer
}

func (w *world) startAsking(t *testing.T, command ...string) *asking {
	t.Helper()
	a := &asking{cmd: exec.Command(command[0], command[1:]...)}
	a.cmd.Stdout, a.cmd.Stderr = &a.out, &a.errs
	w.start(t, false, a.cmd)
	return a
}

// answers waits for the program to end.
func (a *asking) answers(t *testing.T) []answer {
	t.Helper()
	err := a.cmd.Wait()
	if a.errs.Len() > 0 {
		t.Logf("%q said:\n%s", a.cmd.Args, &a.errs)
	}
	if err != nil {
		t.Errorf("%q: %v\n%s", a.cmd.Args, err, &a.out)
	}
	got, err := readAnswers(a.cmd.Args[0], &a.out)
	fatal(t, err)
	if len(got) == 0 {
		t.Errorf("%q answered nothing", a.cmd.Args)
	}
	return got
}

func (w *world) ask(t *testing.T, command ...string) []answer {
	t.Helper()
	return w.startAsking(t, command...).answers(t)
}

// askParts has four processes of the program in C ask a part of the questions each.
func (w *world) askParts(t *testing.T, program string, to []string) (got []answer) {
	t.Helper()
	list, err := exec.Command(program, "list").Output()
	fatal(t, err)
	var all []*asking
	for part := range slices.Chunk(strings.Fields(string(list)), 50) {
		all = append(all, w.startAsking(t, append([]string{program, "ask", "--only", strings.Join(part, ",")}, to...)...))
	}
	for _, a := range all {
		got = append(got, a.answers(t)...)
	}
	return got
}
