package fabric

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// joined returns a socket of the program and the leg that it is connected with.
func joined(t *testing.T, f *Fabric, p *program, far netip.Addr) (int, *net.TCPConn) {
	t.Helper()
	fd, done := p.connect(netip.AddrPortFrom(far, 443))
	leg, err := next(t, f).Connect()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { leg.Close() })
	if err := wait(t, "connect", done); err != nil {
		t.Fatal(err)
	}
	leg.SetDeadline(time.Now().Add(patience))
	return fd, leg
}

func TestMarksOfSocketsAreToldOfWhatTheyConnect(t *testing.T) {
	f := newFabric(t, Config{})
	for _, m := range []uint32{0, MarkProto} {
		for _, far := range anyFar {
			fd, err := f.Socket(domainOf(far), unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, m)
			if err != nil {
				t.Fatal(err)
			}
			if !f.Owns(fd) {
				t.Error("the fabric does not own its socket")
			}
			unix.Connect(fd, sockaddr(netip.AddrPortFrom(far, 443)))
			if h := next(t, f); h.Mark != m {
				t.Errorf("held with mark %#x, want %#x", h.Mark, m)
			}
			unix.Close(fd)
		}
	}
	for _, own := range []uint32{7, 0x51, 0x52} { // the program's
		fd, err := f.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, own)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		unix.Connect(fd, sockaddr(netip.AddrPortFrom(far4, 443)))
		if h := next(t, f); h.Mark != 0 {
			t.Errorf("with mark %#x: held with mark %#x, want 0", own, h.Mark)
		}
	}
	if len(f.held) != 0 {
		t.Error("held twice")
	}
	host, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(host)
	if f.Owns(host) {
		t.Error("the fabric owns a socket of the host")
	}
}

func TestEndsOfTheProgramArriveAtTheLeg(t *testing.T) {
	f := newFabric(t, Config{})
	p := newProgram(t, f)
	for _, far := range anyFar {
		fd, leg := joined(t, f, p, far)
		unix.Shutdown(fd, unix.SHUT_WR)
		if b, err := io.ReadAll(leg); err != nil || len(b) != 0 {
			t.Errorf("after the program's FIN: %q, %v", b, err)
		}
		leg.Write([]byte("still"))
		b := make([]byte, 5)
		if n, err := readFull(fd, b); string(b[:max(n, 0)]) != "still" {
			t.Errorf("the program reads %q, %v", b, err)
		}
		leg.CloseWrite()
		if n, err := unix.Read(fd, b); n != 0 || err != nil {
			t.Errorf("after our FIN: %d, %v", n, err)
		}
		unix.Close(fd)

		fd, leg = joined(t, f, p, far)
		unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
		unix.Close(fd)
		if _, err := leg.Read(b); !errors.Is(err, unix.ECONNRESET) {
			t.Errorf("after the program's RST: %v, want ECONNRESET", err)
		}

		fd, leg = joined(t, f, p, far)
		leg.SetLinger(0)
		leg.Close()
		if _, err := unix.Read(fd, b); err != unix.ECONNRESET {
			t.Errorf("after our RST: %v, want ECONNRESET", err)
		}
		unix.Close(fd)
	}
}

func TestUrgentDataIsInLine(t *testing.T) {
	f := newFabric(t, Config{})
	p := newProgram(t, f)
	fd, leg := joined(t, f, p, far4)
	defer unix.Close(fd)
	unix.Sendto(fd, []byte("ab"), unix.MSG_OOB, nil)
	unix.Write(fd, []byte("c"))
	b := make([]byte, 3)
	if n, err := io.ReadFull(leg, b); string(b[:n]) != "abc" {
		t.Errorf("read %q, %v", b[:n], err)
	}
}

func TestMultipathSocketsConnectAndAccept(t *testing.T) {
	f := newFabric(t, Config{})
	fd, err := f.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_MPTCP, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	done := make(chan error, 1)
	go func() { done <- unix.Connect(fd, sockaddr(netip.AddrPortFrom(far4, 443))) }()
	leg, err := next(t, f).Connect()
	if err != nil {
		t.Fatal(err)
	}
	defer leg.Close()
	if err := wait(t, "connect", done); err != nil {
		t.Fatal(err)
	}
	talk(t, fd, leg)

	ln, err := f.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_MPTCP, 0) // as Go programs listen
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(ln)
	if err := unix.Bind(ln, &unix.SockaddrInet6{}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(ln, 5); err != nil {
		t.Fatal(err)
	}
	in, err := deliver(t, f, netip.MustParseAddrPort("198.51.100.7:4711"), netip.AddrPortFrom(host4, localOf(t, ln).Port()))
	if err != nil {
		t.Fatal(err)
	}
	accepted, _ := accept(t, ln)
	talk(t, accepted, in)
}

func TestSocketsOfTheProgramAreFound(t *testing.T) {
	ended := make(chan Socket, 100)
	f := newFabric(t, Config{Ended: func(s Socket) { ended <- s }})
	p := newProgram(t, f)
	ln4, at4 := p.listen(netip.MustParseAddrPort("127.0.0.1:0"), 5)
	ln6, at6 := p.listen(netip.MustParseAddrPort("[::]:0"), 5)
	list, err := f.Listeners()
	if err != nil {
		t.Fatal(err)
	}
	cookies := map[uint64]int{}
	for _, s := range list {
		for _, fd := range []int{ln4, ln6} {
			if s.Local == localOf(t, fd) && !s.Remote.IsValid() && s.Inode != 0 {
				cookies[s.Cookie] = fd
			}
		}
	}
	if len(list) != 2 || len(cookies) != 2 {
		t.Fatalf("listeners: %+v, want %v and %v", list, at4, at6)
	}
	for to, want := range map[netip.AddrPort]bool{
		at4: true, netip.AddrPortFrom(host4, at4.Port()): false, netip.AddrPortFrom(lo6, at4.Port()): false,
		netip.AddrPortFrom(lo6, at6.Port()): true, netip.AddrPortFrom(host4, at6.Port()): true, netip.AddrPortFrom(lo4, at6.Port()+1): at6.Port()+1 == at4.Port(),
	} {
		if got, err := f.Listening(to); got != want || err != nil {
			t.Errorf("Listening(%v) = %v, %v, want %v", to, got, err, want)
		}
	}
	fd, leg := joined(t, f, p, far6)
	s, err := f.Lookup(localOf(t, fd), remoteOf(t, fd))
	if err != nil || s.Inode == 0 || s.Local != localOf(t, fd) || s.Remote != remoteOf(t, fd) {
		t.Errorf("Lookup: %+v, %v", s, err)
	}
	if _, err := f.Lookup(at4, netip.AddrPortFrom(far4, 1)); !errors.Is(err, unix.ENOENT) {
		t.Errorf("Lookup of what is not there: %v, want ENOENT", err)
	}
	leg.Close()
	for _, fd := range []int{fd, ln4, ln6} {
		unix.Close(fd)
	}
	for range 2 {
		select {
		case s := <-ended:
			if _, known := cookies[s.Cookie]; !known {
				t.Errorf("another one has ended: %+v", s)
			}
			delete(cookies, s.Cookie)
		case <-time.After(patience):
			t.Fatalf("the end of a listener was not told: %v", cookies)
		}
	}
}

func TestLegsHaveTheirOwnCongestionControllerAndProgramsTheHosts(t *testing.T) {
	f := newFabric(t, Config{})
	p := newProgram(t, f)
	host, err := os.ReadFile("/proc/sys/net/ipv4/tcp_congestion_control")
	if err != nil {
		t.Fatal(err)
	}
	for _, far := range anyFar {
		fd, leg := joined(t, f, p, far)
		if got, err := unix.GetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION); err != nil || got != strings.TrimSpace(string(host)) {
			t.Errorf("a program's socket has %q, %v, want the host's %q", got, err, host)
		}
		raw, err := leg.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		raw.Control(func(fd uintptr) {
			if got, err := unix.GetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION); err != nil || got != legController {
				t.Errorf("a leg has %q, %v, want %q", got, err, legController)
			}
		})
	}
}
