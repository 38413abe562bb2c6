package sockets

import (
	"net"
	"net/netip"
	"testing"

	"github.com/seed51309289/quiver/internal/fabric"
	"github.com/seed51309289/quiver/internal/need"
	"golang.org/x/sys/unix"
)

// directly connects from app to a new listener, and returns at which name that sees it. Without a port the kernel chooses one.
func directly(t *testing.T, app netip.AddrPort) netip.AddrPort {
	t.Helper()
	l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(app.Addr(), 0)))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if app.Port() == 0 {
		d := unbound(app.Addr(), 0)
		conn, err := d.DialContext(t.Context(), "tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
	} else {
		there, err := overTCP(t.Context(), &fabric.Held{App: app, Dest: l.Addr().(*net.TCPAddr).AddrPort()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(there.drop)
	}
	c, err := l.AcceptTCP()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { reset(c) })
	return c.RemoteAddr().(*net.TCPAddr).AddrPort()
}

// needPortRange skips the test on kernels before Linux 6.3, where ports can only be bound to.
func needPortRange(t *testing.T) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_LOCAL_PORT_RANGE, 0); err != nil {
		need.Missing(t, "port-range", "no IP_LOCAL_PORT_RANGE: %v", err)
	}
}

func TestAConnectionOverTCPLeavesFromAPortThatOtherClientsHave(t *testing.T) {
	needPortRange(t)
	for _, address := range []string{"127.0.0.1", "127.0.0.9", "::1"} {
		t.Run(address, func(t *testing.T) {
			taken := directly(t, netip.AddrPortFrom(netip.MustParseAddr(address), 0))
			if now := directly(t, taken); now != taken {
				t.Errorf("got %v, want %v: another server's connection has that port too", now, taken)
			}
		})
	}
}

func TestAConnectionOverTCPLeavesFromAnotherPortThanAListeners(t *testing.T) {
	l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taken := l.Addr().(*net.TCPAddr).AddrPort()
	if now := directly(t, taken); now.Addr() != taken.Addr() || now.Port() == taken.Port() {
		t.Errorf("got %v, want another port of %v", now, taken.Addr())
	}
}

// freeBelow returns a name of this host that nothing has, with a port below limit, or below 32768 if that is 0.
func freeBelow(t *testing.T, limit uint16) netip.AddrPort {
	t.Helper()
	if limit == 0 {
		limit = 32768
	}
	for port := limit - 1; port >= 1024; port-- {
		name := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port)
		if l, err := net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(name)); err == nil {
			l.Close()
			return name
		}
	}
	t.Fatalf("no free port between 1024 and %d", limit)
	return netip.AddrPort{}
}

func TestAPortBelowThoseOfClientsIsBoundTo(t *testing.T) {
	app := freeBelow(t, clientPorts().low)
	for _, clients := range []portRange{{}, {app.Port() + 1, 65535}} {
		if ways := direct(app, clients); len(ways) != 3 || ways[0].LocalAddr.String() != app.String() {
			t.Errorf("clients %v: got %v first of %d, want %v first of 3", clients, ways[0].LocalAddr, len(ways), app)
		}
	}
	if now := directly(t, app); now != app {
		t.Errorf("got %v, want %v", now, app)
	}
}

func TestThePortsOfClientsAreThoseOfTheHost(t *testing.T) {
	r := clientPorts()
	name := directly(t, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), 0))
	if !r.has(name.Port()) || r.has(0) || r.low > 0 && r.has(r.low-1) {
		t.Errorf("got %v, which must have %v", r, name.Port())
	}
}
