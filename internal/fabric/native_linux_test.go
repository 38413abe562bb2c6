package fabric

import (
	"errors"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

func TestAConnectPutBackReachesTheProgramsOwnListener(t *testing.T) {
	f := newFabric(t, Config{})
	p := newProgram(t, f)
	for _, tc := range []struct{ name, listen, dest, app string }{
		{"loopback", "127.0.0.1", "127.0.0.1", "127.0.0.1"},
		{"all of 127/8", "127.9.9.9", "127.9.9.9", "127.0.0.1"},
		{"loopback of IPv6", "::1", "::1", "::1"},
		{"any address", "0.0.0.0", "127.0.0.1", "127.0.0.1"},
		{"the host's address", "0.0.0.0", "10.77.0.2", "10.77.0.2"},
		{"the host's IPv6 address", "::", "2001:db8:77::2", "2001:db8:77::2"},
		{"a listener for both families", "::", "10.77.0.2", "10.77.0.2"},
	} {
		ln, at := p.listen(netip.AddrPortFrom(netip.MustParseAddr(tc.listen), 0), 5)
		dest := netip.AddrPortFrom(netip.MustParseAddr(tc.dest), at.Port())
		if got, err := f.Listening(dest); !got || err != nil {
			t.Errorf("%s: Listening(%v) = %v, %v", tc.name, dest, got, err)
		}
		fd, done := p.connect(dest)
		h := next(t, f)
		if h.App.Addr().String() != tc.app {
			t.Errorf("%s: from %v, want %s", tc.name, h.App, tc.app)
		}
		if err := h.Native(); err != nil {
			t.Fatalf("%s: %v", tc.name, err)
		}
		if err := wait(t, tc.name, done); err != nil {
			t.Fatalf("%s: %v", tc.name, err)
		}
		accepted, _, err := unix.Accept4(ln, unix.SOCK_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		unix.Write(fd, []byte("x"))
		var b [1]byte
		if n, err := unix.Read(accepted, b[:]); n != 1 || b[0] != 'x' {
			t.Errorf("%s: read %d, %v", tc.name, n, err)
		}
		for _, fd := range []int{fd, accepted, ln} {
			unix.Close(fd)
		}
	}
}

func TestAConnectPutBackWhereNobodyListensIsRefused(t *testing.T) {
	f := newFabric(t, Config{})
	p := newProgram(t, f)
	for _, a := range []netip.Addr{lo4, lo6, host4, host6} {
		dest := netip.AddrPortFrom(a, 9)
		if got, err := f.Listening(dest); got || err != nil {
			t.Errorf("Listening(%v) = %v, %v", dest, got, err)
		}
		fd, done := p.connect(dest)
		if err := next(t, f).Native(); err != nil {
			t.Fatal(err)
		}
		if err := wait(t, "connect", done); !errors.Is(err, unix.ECONNREFUSED) {
			t.Errorf("connect to %v: %v, want ECONNREFUSED", dest, err)
		}
		unix.Close(fd)
	}
}

func TestMappedAddressesAreIPv4(t *testing.T) {
	f := newFabric(t, Config{})
	p := newProgram(t, f)
	mapped := func(a netip.Addr, port uint16) unix.Sockaddr {
		return &unix.SockaddrInet6{Addr: netip.AddrFrom16(a.As16()).As16(), Port: int(port)}
	}
	ln, at := p.listen(netip.AddrPortFrom(lo4, 0), 5)
	defer unix.Close(ln)
	for _, native := range []bool{true, false} {
		fd := p.socket(unix.AF_INET6, 0)
		done := make(chan error, 1)
		go func() { done <- unix.Connect(fd, mapped(lo4, at.Port())) }()
		h := next(t, f)
		if h.Dest != netip.AddrPortFrom(lo4, at.Port()) {
			t.Errorf("held a connect to %v", h.Dest)
		}
		if native {
			if err := h.Native(); err != nil {
				t.Fatal(err)
			}
		} else {
			leg, err := h.Connect()
			if err != nil {
				t.Fatal(err)
			}
			defer leg.Close()
		}
		if err := wait(t, "connect", done); err != nil {
			t.Errorf("native %v: %v", native, err)
		}
		if got := remoteOf(t, fd).Addr(); !got.Is4In6() || got.Unmap() != lo4 {
			t.Errorf("native %v: getpeername is %v", native, got)
		}
		unix.Close(fd)
	}
}

func TestASocketConnectsToItself(t *testing.T) {
	f := newFabric(t, Config{})
	p := newProgram(t, f)
	fd := p.socket(unix.AF_INET, 0)
	defer unix.Close(fd)
	if err := unix.Bind(fd, sockaddr(netip.AddrPortFrom(lo4, 0))); err != nil {
		t.Fatal(err)
	}
	self := localOf(t, fd)
	done := make(chan error, 1)
	go func() { done <- unix.Connect(fd, sockaddr(self)) }()
	if err := next(t, f).Native(); err != nil {
		t.Fatal(err)
	}
	if err := wait(t, "connect", done); err != nil {
		t.Fatal(err)
	}
	unix.Write(fd, []byte("echo"))
	b := make([]byte, 4)
	if n, err := readFull(fd, b); string(b[:n]) != "echo" {
		t.Errorf("read %q, %v", b[:n], err)
	}
}

// A listener without room makes the kernel drop the SYN; when it comes again it must get a second chance.
func TestAConnectPutBackToABusyListenerIsHeldAgain(t *testing.T) {
	f := newFabric(t, Config{})
	p := newProgram(t, f)
	ln, at := p.listen(netip.AddrPortFrom(lo4, 0), 0)
	defer unix.Close(ln)
	var last <-chan error
	for range 3 { // more than a backlog of 0 takes
		fd, done := p.connect(at)
		defer unix.Close(fd)
		if err := next(t, f).Native(); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			continue
		case h := <-f.held: // the same, a second later
			last = done
			accepted, _, err := unix.Accept4(ln, unix.SOCK_CLOEXEC)
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(accepted)
			if err := h.Native(); err != nil {
				t.Fatal(err)
			}
		}
		break
	}
	if last == nil {
		t.Fatal("the listener took all")
	}
	if err := wait(t, "connect", last); err != nil {
		t.Error(err)
	}
}
