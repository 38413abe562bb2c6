package fabric

import (
	"errors"
	"io"
	"maps"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestManyConnectsAtOnceAreAllSeen(t *testing.T) {
	const many = 3000
	f := newFabric(t, Config{})
	p := newProgram(t, f)
	legs := make(chan error, many)
	go func() {
		for {
			h, err := f.Next()
			if err != nil {
				return
			}
			go func() {
				leg, err := h.Connect()
				if err == nil {
					err = leg.Close()
				}
				legs <- err
			}()
		}
	}()
	fds := make([]int, many)
	p.do(func() {
		for i := range fds {
			var err error
			if fds[i], err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0); err != nil {
				t.Errorf("socket %d: %v", i, err)
				return
			}
			if err = unix.Connect(fds[i], sockaddr(netip.AddrPortFrom(far4, 80))); err != unix.EINPROGRESS {
				t.Errorf("connect %d: %v", i, err)
			}
		}
	})
	for range many {
		if err := wait(t, "a leg", legs); err != nil {
			t.Fatal(err)
		}
	}
	for _, fd := range fds {
		if events := poll(t, fd, unix.POLLOUT, patience); events&unix.POLLOUT == 0 || events&unix.POLLERR != 0 {
			t.Errorf("poll: %#x", events)
		}
		unix.Close(fd)
	}
	if s := f.Stats(); s.Dropped != 0 || s.Held != many || s.Connected != many {
		t.Errorf("%+v, want %d held and connected, and none dropped", s, many)
	}
}

func TestAConnectThatIsSentAgainIsHeldOnce(t *testing.T) {
	f := newFabric(t, Config{})
	p := newProgram(t, f)
	fd, done := p.connect(netip.AddrPortFrom(far4, 80))
	defer unix.Close(fd)
	h := next(t, f)
	eventually(t, "the kernel sends the SYN again", func() bool { return f.Stats().Repeated > 0 })
	if len(f.held) != 0 {
		t.Error("held twice")
	}
	leg, err := h.Connect()
	if err != nil {
		t.Fatal(err)
	}
	defer leg.Close()
	if err := wait(t, "connect", done); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Connect(); !errors.Is(err, errAnswered) {
		t.Errorf("a second answer: %v", err)
	}
	talk(t, fd, leg)
}

func TestAProgramThatGivesUpIsSeenToBeGone(t *testing.T) {
	f := newFabric(t, Config{})
	p := newProgram(t, f)
	for _, far := range anyFar {
		fd := p.socket(domainOf(far), unix.SOCK_NONBLOCK)
		unix.Connect(fd, sockaddr(netip.AddrPortFrom(far, 80)))
		h := next(t, f)
		if isGone(h) {
			t.Error("it is not")
		}
		unix.Close(fd)
		gone := make(chan error)
		go func() { <-h.Gone(); close(gone) }()
		wait(t, "gone", gone)
		if _, err := h.Connect(); !errors.Is(err, unix.ECONNREFUSED) {
			t.Errorf("joining it: %v, want ECONNREFUSED", err)
		}
	}
}

// Whoever joins a program does not know yet that it has gone.
func TestJoiningAProgramThatHasJustGoneFailsAtOnce(t *testing.T) {
	f := newFabric(t, Config{})
	p := newProgram(t, f)
	for _, far := range anyFar {
		fd := p.socket(domainOf(far), unix.SOCK_NONBLOCK)
		unix.Connect(fd, sockaddr(netip.AddrPortFrom(far, 80)))
		h := next(t, f)
		unix.Close(fd)
		if _, err := f.connect(t.Context(), h.Dest, h.App); !errors.Is(err, unix.ECONNREFUSED) {
			t.Errorf("joining it: %v, want ECONNREFUSED", err)
		}
	}
}

func TestCloseRefusesWhatWaitsAndWhatComesLater(t *testing.T) {
	f := newFabric(t, Config{})
	p := newProgram(t, f)
	_, first := p.connect(netip.AddrPortFrom(far4, 80))
	_, second := p.connect(netip.AddrPortFrom(far6, 80))
	a, b := next(t, f), next(t, f)
	open, joined := p.connect(netip.AddrPortFrom(far4, 81))
	leg, err := next(t, f).Connect()
	if err != nil {
		t.Fatal(err)
	}
	defer leg.Close()
	wait(t, "connect", joined)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	for _, done := range []<-chan error{first, second} {
		if err := wait(t, "connect", done); !errors.Is(err, unix.ECONNREFUSED) {
			t.Errorf("connect that waited: %v, want ECONNREFUSED", err)
		}
	}
	if err := f.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closing again: %v, want net.ErrClosed", err)
	}
	if _, err := f.Next(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Next: %v, want net.ErrClosed", err)
	}
	if err := a.Native(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Native: %v, want net.ErrClosed", err)
	}
	if _, err := b.Connect(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Connect: %v, want net.ErrClosed", err)
	}
	if _, err := f.Socket(unix.AF_INET, unix.SOCK_STREAM, 0, 0); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Socket: %v, want net.ErrClosed", err)
	}
	if _, err := f.Listeners(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Listeners: %v, want net.ErrClosed", err)
	}
	talk(t, open, leg) // what is open stays so
	_, later := p.connect(netip.AddrPortFrom(far4, 80))
	if err := wait(t, "connect", later); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("connect after that: %v, want ECONNREFUSED", err)
	}
}

func TestCloseLeavesNothingBehind(t *testing.T) {
	inRoom(t)
	use := func(t *testing.T) {
		f := newFabric(t, Config{})
		p := newProgram(t, f)
		for _, far := range anyFar {
			fd, done := p.connect(netip.AddrPortFrom(far, 80))
			leg, err := next(t, f).Connect()
			if err != nil {
				t.Fatal(err)
			}
			wait(t, "connect", done)
			leg.Close()
			unix.Close(fd)
			fd, err = f.Socket(domainOf(far), unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0, 0)
			if err != nil {
				t.Fatal(err)
			}
			unix.Close(fd)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("once", use) // what the runtime opens stays
	before := descriptors(t)
	goroutines := runtime.NumGoroutine()
	t.Run("again", use)
	eventually(t, "all goroutines end", func() bool { return runtime.NumGoroutine() <= goroutines })
	if after := descriptors(t); !maps.Equal(before, after) {
		t.Errorf("descriptors: %v, were %v", after, before)
	}
	eventually(t, "no thread is left in another namespace", func() bool { return len(namespaces(t)) == 1 })
}

// namespaces returns the network namespaces that threads of this process are in.
func namespaces(t *testing.T) map[string]bool {
	t.Helper()
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]bool{}
	for _, task := range tasks {
		if ns, err := os.Readlink("/proc/self/task/" + task.Name() + "/ns/net"); err == nil {
			out[ns] = true
		}
	}
	return out
}

const holderVar = "QUIVER_TEST_HOLDER"

// TestHolder is no test: it is the process that TestTheDeathOfTheHolderFreesThePrograms ends.
func TestHolder(t *testing.T) {
	if os.Getenv(holderVar) == "" {
		t.Skip("another test runs this in another process")
	}
	f := newFabric(t, Config{})
	os.Stdout.WriteString("ready\n")
	for {
		if _, err := f.Next(); err != nil {
			return
		}
		os.Stdout.WriteString("held\n")
	}
}

func TestTheDeathOfTheHolderFreesThePrograms(t *testing.T) {
	inRoom(t)
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestHolder$")
	cmd.Env = append(os.Environ(), holderVar+"=1", roomVar+"="+roomUser)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	expect := func(want string) {
		t.Helper()
		b := make([]byte, len(want)+1)
		if _, err := io.ReadFull(out, b); err != nil || strings.TrimSpace(string(b)) != want {
			t.Fatalf("the holder says %q, %v, want %q", b, err, want)
		}
	}
	expect("ready")
	// A thread of the holder's lives in its fabric; the program enters there.
	ns := fabricOf(t, cmd.Process.Pid)
	defer unix.Close(ns)
	p := newProgram(t, &Fabric{ns: ns})
	_, done := p.connect(netip.AddrPortFrom(far4, 80))
	expect("held")
	cmd.Process.Kill()
	cmd.Wait()
	if err := wait(t, "connect", done); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("the connect that waited: %v, want ECONNREFUSED", err)
	}
	_, done = p.connect(netip.AddrPortFrom(far4, 80))
	if err := wait(t, "connect", done); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("a later one: %v, want ECONNREFUSED", err)
	}
}

// fabricOf opens the network namespace of a process that its first thread is not in.
func fabricOf(t *testing.T, pid int) int {
	t.Helper()
	dir := "/proc/" + strconv.Itoa(pid) + "/task/"
	host, err := os.Readlink("/proc/" + strconv.Itoa(pid) + "/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	tasks, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		path := dir + task.Name() + "/ns/net"
		if ns, err := os.Readlink(path); err == nil && ns != host {
			fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			return fd
		}
	}
	t.Fatal("the holder has no thread in a fabric")
	return -1
}
