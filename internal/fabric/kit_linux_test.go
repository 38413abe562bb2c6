package fabric

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// patience is how long anything may take that takes no time.
const patience = 10 * time.Second

// The host of the tests.
var (
	host4   = netip.MustParseAddr("10.77.0.2")
	host6   = netip.MustParseAddr("2001:db8:77::2")
	far4    = netip.MustParseAddr("93.184.216.34")
	far6    = netip.MustParseAddr("2606:2800:220:1::34")
	lo4     = netip.MustParseAddr("127.0.0.1")
	lo6     = netip.IPv6Loopback()
	anyFar  = []netip.Addr{far4, far6}
	ownAddr = map[netip.Addr]netip.Addr{far4: host4, far6: host6}
)

// furnish makes the host: an interface with a default route, on which nobody answers.
func furnish() error {
	if err := netlink.LinkSetUp(loopback()); err != nil {
		return err
	}
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "eth0"}, PeerName: "far"}); err != nil {
		return err
	}
	for _, name := range []string{"eth0", "far"} {
		l, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		if err := netlink.LinkSetUp(l); err != nil {
			return err
		}
	}
	for _, s := range []string{"10.77.0.2/24", "2001:db8:77::2/64"} {
		if err := addAddr("eth0", s); err != nil {
			return err
		}
	}
	for _, s := range []string{"10.77.0.1", "2001:db8:77::1"} {
		if err := addDefault("eth0", s); err != nil {
			return err
		}
	}
	return nil
}

func addAddr(link, cidr string) error {
	l, err := netlink.LinkByName(link)
	if err != nil {
		return err
	}
	a, err := netlink.ParseAddr(cidr)
	if err != nil {
		return err
	}
	if a.IP.To4() == nil {
		a.Flags = unix.IFA_F_NODAD
	}
	return netlink.AddrAdd(l, a)
}

func delAddr(link, cidr string) error {
	l, err := netlink.LinkByName(link)
	if err != nil {
		return err
	}
	a, err := netlink.ParseAddr(cidr)
	if err != nil {
		return err
	}
	return netlink.AddrDel(l, a)
}

func addDefault(link, gateway string) error {
	l, err := netlink.LinkByName(link)
	if err != nil {
		return err
	}
	return netlink.RouteReplace(&netlink.Route{LinkIndex: l.Attrs().Index, Gw: net.ParseIP(gateway)})
}

// newFabric makes one that the test closes. What it logs is in the test's log.
func newFabric(t testing.TB, c Config) *Fabric {
	t.Helper()
	inRoom(t)
	if c.Log == nil {
		c.Log = slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	f, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Logf("%s", p)
	return len(p), nil
}

// A program lives in a fabric: all its calls are made on a thread there.
type program struct {
	t    testing.TB
	jobs chan func()
}

func newProgram(t testing.TB, f *Fabric) *program {
	t.Helper()
	p := &program{t: t, jobs: make(chan func())}
	entered := make(chan error)
	go offMain(func() {
		entered <- unix.Setns(f.NS(), unix.CLONE_NEWNET)
		for job := range p.jobs {
			job()
		}
	})
	if err := <-entered; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { close(p.jobs) })
	return p
}

// do calls f on the program's thread.
func (p *program) do(f func()) {
	done := make(chan struct{})
	p.jobs <- func() { defer close(done); f() }
	<-done
}

// socket makes a TCP socket of the program. The test closes it, unless it has been.
func (p *program) socket(domain, flags int) int {
	p.t.Helper()
	fd, err := -1, error(nil)
	p.do(func() { fd, err = unix.Socket(domain, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|flags, 0) })
	if err != nil {
		p.t.Fatal(err)
	}
	unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: int64(patience / time.Second)})
	return fd
}

func domainOf(a netip.Addr) int {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// connect begins to connect a socket of the program, and returns it and where its error will be.
func (p *program) connect(to netip.AddrPort) (int, <-chan error) {
	p.t.Helper()
	fd := p.socket(domainOf(to.Addr()), 0)
	done := make(chan error, 1)
	go func() { done <- unix.Connect(fd, sockaddr(to)) }()
	return fd, done
}

// listen makes a listener of the program.
func (p *program) listen(at netip.AddrPort, backlog int) (fd int, got netip.AddrPort) {
	p.t.Helper()
	fd = p.socket(domainOf(at.Addr()), 0)
	if err := unix.Bind(fd, sockaddr(at)); err != nil {
		p.t.Fatalf("bind to %v: %v", at, err)
	}
	if err := unix.Listen(fd, backlog); err != nil {
		p.t.Fatal(err)
	}
	return fd, localOf(p.t, fd)
}

func localOf(t testing.TB, fd int) netip.AddrPort {
	t.Helper()
	sa, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return addrOf(sa)
}

func remoteOf(t testing.TB, fd int) netip.AddrPort {
	t.Helper()
	sa, err := unix.Getpeername(fd)
	if err != nil {
		t.Fatal(err)
	}
	return addrOf(sa)
}

func addrOf(sa unix.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port))
	}
	return netip.AddrPort{}
}

// next waits for the next connection of the program.
func next(t testing.TB, f *Fabric) *Held {
	t.Helper()
	type result struct {
		h   *Held
		err error
	}
	got := make(chan result, 1)
	go func() {
		h, err := f.Next()
		got <- result{h, err}
	}()
	select {
	case r := <-got:
		if r.err != nil {
			t.Fatal(r.err)
		}
		return r.h
	case <-time.After(patience):
		t.Fatal("no connection was held")
		return nil
	}
}

// wait waits for an error, or nil.
func wait(t testing.TB, what string, done <-chan error) error {
	t.Helper()
	select {
	case err := <-done:
		return err
	case <-time.After(patience):
		t.Fatalf("%s: nothing within %v", what, patience)
		return nil
	}
}

// eventually waits for something that no event tells of.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("not within %v: %s", patience, what)
}

// talk sends bytes both ways between a socket of the program and a leg.
func talk(t testing.TB, fd int, leg net.Conn) {
	t.Helper()
	if err := exchange(fd, leg); err != nil {
		t.Fatal(err)
	}
}

func exchange(fd int, leg net.Conn) error {
	leg.SetDeadline(time.Now().Add(patience))
	defer leg.SetDeadline(time.Time{})
	buf := make([]byte, 16)
	if _, err := unix.Write(fd, []byte("from the program")); err != nil {
		return fmt.Errorf("program writes: %w", err)
	}
	if n, err := io.ReadFull(leg, buf); string(buf[:n]) != "from the program" {
		return fmt.Errorf("leg reads %q, %v", buf[:n], err)
	}
	if _, err := leg.Write([]byte("from the leg    ")); err != nil {
		return fmt.Errorf("leg writes: %w", err)
	}
	if n, err := readFull(fd, buf); string(buf[:max(n, 0)]) != "from the leg    " {
		return fmt.Errorf("program reads %q, %v", buf[:max(n, 0)], err)
	}
	return nil
}

func readFull(fd int, buf []byte) (int, error) {
	n := 0
	for n < len(buf) {
		m, err := unix.Read(fd, buf[n:])
		if m <= 0 {
			return n, err
		}
		n += m
	}
	return n, nil
}

// descriptors returns what descriptors of this process are open.
func descriptors(t testing.TB) map[string]string {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, e := range list {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); !errors.Is(err, os.ErrNotExist) {
			out[e.Name()] = to
		}
	}
	return out
}

// poll waits for events of a descriptor.
func poll(t testing.TB, fd int, events int16, limit time.Duration) int16 {
	t.Helper()
	p := []unix.PollFd{{Fd: int32(fd), Events: events}}
	for {
		_, err := unix.Poll(p, int(limit/time.Millisecond))
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		return p[0].Revents
	}
}

type testLeg struct{ *net.TCPConn }
