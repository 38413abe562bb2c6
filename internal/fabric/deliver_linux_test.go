package fabric

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func deliver(t *testing.T, f *Fabric, from, to netip.AddrPort) (*testLeg, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := f.Deliver(ctx, from, to)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { c.Close() })
	return &testLeg{c}, nil
}

func accept(t *testing.T, ln int) (int, netip.AddrPort) {
	t.Helper()
	if events := poll(t, ln, unix.POLLIN, patience); events != unix.POLLIN {
		t.Fatalf("poll of a listener: %#x", events)
	}
	fd, sa, err := unix.Accept4(ln, unix.SOCK_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd, addrOf(sa)
}

func TestPeersReachTheProgramsListenersFromTheirOwnAddress(t *testing.T) {
	f := newFabric(t, Config{})
	p := newProgram(t, f)
	for _, tc := range []struct{ name, listen, to, from, want string }{
		{"IPv4", "0.0.0.0", "10.77.0.2", "198.51.100.7:4711", "198.51.100.7:4711"},
		{"IPv6", "::", "2001:db8:77::2", "[2a00::7]:4711", "[2a00::7]:4711"},
		{"a listener for both families", "::", "10.77.0.2", "198.51.100.7:4712", "[::ffff:198.51.100.7]:4712"},
		{"a peer of this host", "127.0.0.1", "127.0.0.1", "127.0.0.1:4713", "127.0.0.1:4713"},
		{"a peer of this host, IPv6", "::1", "::1", "[::1]:4713", "[::1]:4713"},
		{"a mapped address", "0.0.0.0", "::ffff:10.77.0.2", "[::ffff:198.51.100.7]:4714", "198.51.100.7:4714"},
	} {
		ln, at := p.listen(netip.AddrPortFrom(netip.MustParseAddr(tc.listen), 0), 5)
		leg, err := deliver(t, f, netip.MustParseAddrPort(tc.from), netip.AddrPortFrom(netip.MustParseAddr(tc.to), at.Port()))
		if err != nil {
			t.Fatalf("%s: %v", tc.name, err)
		}
		fd, from := accept(t, ln)
		if from.String() != tc.want {
			t.Errorf("%s: accept says %v, want %s", tc.name, from, tc.want)
		}
		if got := remoteOf(t, fd); got.String() != tc.want {
			t.Errorf("%s: getpeername says %v, want %s", tc.name, got, tc.want)
		}
		talk(t, fd, leg)
		unix.Close(ln)
	}
	if n := f.Stats().Held; n != 0 {
		t.Errorf("%d of them were held", n)
	}
}

func TestDeliveryWhereNobodyListensIsRefused(t *testing.T) {
	f := newFabric(t, Config{})
	for from, to := range map[string]string{"198.51.100.7:4711": "10.77.0.2:9", "[2a00::7]:4711": "[2001:db8:77::2]:9"} {
		if _, err := deliver(t, f, netip.MustParseAddrPort(from), netip.MustParseAddrPort(to)); !errors.Is(err, unix.ECONNREFUSED) {
			t.Errorf("from %s to %s: %v, want ECONNREFUSED", from, to, err)
		}
	}
	if _, err := deliver(t, f, netip.MustParseAddrPort("[2a00::7]:1"), netip.MustParseAddrPort("10.77.0.2:9")); !errors.Is(err, unix.EAFNOSUPPORT) {
		t.Errorf("from IPv6 to IPv4: %v, want EAFNOSUPPORT", err)
	}
}

func TestATakenPortOfAPeerBecomesAnother(t *testing.T) {
	f := newFabric(t, Config{})
	p := newProgram(t, f)
	ln, at := p.listen(netip.MustParseAddrPort("0.0.0.0:0"), 5)
	defer unix.Close(ln)
	from, to := netip.MustParseAddrPort("198.51.100.7:4711"), netip.AddrPortFrom(host4, at.Port())
	seen := map[netip.AddrPort]bool{}
	for range 5 {
		leg, err := deliver(t, f, from, to)
		if err != nil {
			t.Fatal(err)
		}
		fd, got := accept(t, ln)
		if got.Addr() != from.Addr() || seen[got] {
			t.Errorf("accepted from %v, after %v", got, seen)
		}
		seen[got] = true
		talk(t, fd, leg)
	}
	if !seen[from] {
		t.Errorf("none has the port of the peer: %v", seen)
	}
}

// The program talks with a port of a peer, listens at that number itself, and the peer connects from there.
func TestPortsAreSharedWithTheProgram(t *testing.T) {
	f := newFabric(t, Config{})
	p := newProgram(t, f)
	dest := netip.AddrPortFrom(far4, 7070)
	fd, done := p.connect(dest)
	leg, err := next(t, f).Connect()
	if err != nil {
		t.Fatal(err)
	}
	defer leg.Close()
	defer unix.Close(fd)
	if err := wait(t, "connect", done); err != nil {
		t.Fatal(err)
	}
	ln := p.socket(unix.AF_INET, 0)
	defer unix.Close(ln)
	unix.SetsockoptInt(ln, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1) // as servers do
	if err := unix.Bind(ln, sockaddr(netip.MustParseAddrPort("0.0.0.0:7070"))); err != nil {
		t.Fatalf("bind to the port that the program is connected with: %v", err)
	}
	if err := unix.Listen(ln, 5); err != nil {
		t.Fatalf("listen there: %v", err)
	}
	in, err := deliver(t, f, dest, netip.AddrPortFrom(host4, 7070))
	if err != nil {
		t.Fatal(err)
	}
	got, from := accept(t, ln)
	if from != dest {
		t.Errorf("accepted from %v, want %v", from, dest)
	}
	talk(t, got, in)
	fd2, done := p.connect(dest) // and the listener does not hinder connects to that number
	defer unix.Close(fd2)
	leg2, err := next(t, f).Connect()
	if err != nil {
		t.Fatal(err)
	}
	defer leg2.Close()
	if err := wait(t, "connect", done); err != nil {
		t.Fatal(err)
	}
	talk(t, fd, leg)
	talk(t, fd2, leg2)
}

func TestDeliveryToAFullListenerWaitsNoLongerThanItsContext(t *testing.T) {
	f := newFabric(t, Config{})
	p := newProgram(t, f)
	ln, at := p.listen(netip.MustParseAddrPort("0.0.0.0:0"), 0)
	defer unix.Close(ln)
	to := netip.AddrPortFrom(host4, at.Port())
	port := uint16(5000)
	for { // until it is full
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		c, err := f.Deliver(ctx, netip.AddrPortFrom(far4, port), to)
		cancel()
		if err != nil {
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the listener is full: %v, want that the context ended", err)
			}
			break
		}
		defer c.Close()
		if port++; port > 5010 {
			t.Fatal("a backlog of 0 takes all")
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		c, err := f.Deliver(ctx, netip.AddrPortFrom(far4, 6000), to)
		if err == nil {
			defer c.Close()
		}
		done <- err
	}()
	for {
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
			return
		default:
		}
		if poll(t, ln, unix.POLLIN, 50*time.Millisecond)&unix.POLLIN != 0 {
			accept(t, ln)
		}
	}
}

func TestAPeerComesAgainFromTheSamePort(t *testing.T) {
	f := newFabric(t, Config{})
	p := newProgram(t, f)
	ln, at := p.listen(netip.MustParseAddrPort("0.0.0.0:0"), 5)
	defer unix.Close(ln)
	from, to := netip.MustParseAddrPort("198.51.100.7:4711"), netip.AddrPortFrom(host4, at.Port())
	for round := range 4 {
		legFirst := round%2 == 0
		leg, err := deliver(t, f, from, to)
		if err != nil {
			t.Fatal(err)
		}
		fd, got := accept(t, ln)
		if got != from {
			t.Errorf("round %d: from %v, want %v: the last connection, which has ended, is in the way", round, got, from)
		}
		b := make([]byte, 1)
		if legFirst {
			leg.CloseWrite()
			unix.Read(fd, b)
			unix.Shutdown(fd, unix.SHUT_WR)
			leg.Read(b)
		} else {
			unix.Shutdown(fd, unix.SHUT_WR)
			leg.Read(b)
			leg.CloseWrite()
			unix.Read(fd, b)
		}
		unix.Close(fd)
		leg.Close()
		time.Sleep(5 * time.Millisecond) // tcp_tw_reuse_delay
	}
}
