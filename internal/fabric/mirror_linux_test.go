package fabric

import (
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func TestProgramsConnectFromTheAddressThatTheHostWouldUse(t *testing.T) {
	asHost(t)
	l, err := netlink.LinkByName("eth0")
	if err != nil {
		t.Fatal(err)
	}
	for _, cidr := range []string{"172.20.0.5/16", "fd00:7::5/64"} {
		if err := addAddr("eth0", cidr); err != nil {
			t.Fatal(err)
		}
		defer delAddr("eth0", cidr)
	}
	route := &netlink.Route{LinkIndex: l.Attrs().Index, Dst: ipNet(netip.MustParsePrefix("203.0.113.0/24")), Src: netip.MustParseAddr("172.20.0.5").AsSlice(), Scope: unix.RT_SCOPE_LINK}
	if err := netlink.RouteAdd(route); err != nil {
		t.Fatal(err)
	}
	defer netlink.RouteDel(route)
	f := newFabric(t, Config{})
	p := newProgram(t, f)
	for to, want := range map[string]string{
		"93.184.216.34": "10.77.0.2", "10.77.0.9": "10.77.0.2", "172.20.9.9": "172.20.0.5", "203.0.113.7": "172.20.0.5",
		"10.77.0.2": "10.77.0.2", "172.20.0.5": "172.20.0.5", "127.0.0.1": "127.0.0.1", "127.3.3.3": "127.0.0.1",
		"2606::1": "2001:db8:77::2", "2001:db8:77::9": "2001:db8:77::2", "fd00:7::9": "fd00:7::5", "fd99::1": "fd00:7::5",
		"2001:db8:77::2": "2001:db8:77::2", "::1": "::1", "fd00:7::5": "fd00:7::5",
	} {
		dest := netip.AddrPortFrom(netip.MustParseAddr(to), 80)
		if host := sourceHere(t, dest); host.String() != want {
			t.Errorf("the host itself reaches %s from %v, not %s", to, host, want)
		}
		fd, _ := p.connect(dest)
		if got := next(t, f).App.Addr(); got.String() != want {
			t.Errorf("to %s from %v, want %s", to, got, want)
		}
		unix.Close(fd)
	}
	for _, to := range []string{"10.77.0.255:80", "255.255.255.255:80", "224.0.0.1:80"} {
		fd, done := p.connect(netip.MustParseAddrPort(to))
		if err := wait(t, "connect", done); err != unix.ENETUNREACH {
			t.Errorf("connect to %s: %v, want ENETUNREACH", to, err)
		}
		unix.Close(fd)
	}
}

// sourceHere returns from where this thread's network reaches an address.
func sourceHere(t *testing.T, to netip.AddrPort) netip.Addr {
	t.Helper()
	fd, err := unix.Socket(domainOf(to.Addr()), unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Connect(fd, sockaddr(to)); err != nil {
		t.Fatalf("connect to %v: %v", to, err)
	}
	return localOf(t, fd).Addr()
}

func TestTheHostsNewAddressIsUsedFromThenOnAndOldConnectionsLiveOn(t *testing.T) {
	asHost(t)
	moved := make(chan error, 100)
	f := newFabric(t, Config{Moved: func() { moved <- nil }})
	p := newProgram(t, f)
	for _, tc := range []struct {
		before, after, gateway, dest string
	}{
		{"10.77.0.2/24", "10.77.0.3/24", "10.77.0.1", "93.184.216.34:80"},
		{"2001:db8:77::2/64", "2001:db8:77::3/64", "2001:db8:77::1", "[2606::34]:80"},
	} {
		before, after := netip.MustParsePrefix(tc.before).Addr(), netip.MustParsePrefix(tc.after).Addr()
		dest := netip.MustParseAddrPort(tc.dest)
		fd, done := p.connect(dest)
		leg, err := next(t, f).Connect()
		if err != nil {
			t.Fatal(err)
		}
		wait(t, "connect", done)
		if got := localOf(t, fd).Addr(); got != before {
			t.Errorf("connected from %v, want %v", got, before)
		}
		move := func(from, to string) {
			t.Helper()
			if err := delAddr("eth0", from); err != nil {
				t.Fatal(err)
			}
			if err := addAddr("eth0", to); err != nil {
				t.Fatal(err)
			}
			if err := addDefault("eth0", tc.gateway); err != nil {
				t.Fatal(err)
			}
		}
		move(tc.before, tc.after)
		defer move(tc.after, tc.before)
		wait(t, "word of the move", moved)
		eventually(t, "the fabric follows", func() bool { return f.Local(after) && !f.Local(before) })
		eventually(t, "connects are from there", func() bool {
			fd := p.socket(domainOf(dest.Addr()), unix.SOCK_NONBLOCK)
			defer unix.Close(fd)
			return unix.Connect(fd, sockaddr(dest)) == unix.EINPROGRESS && next(t, f).App.Addr() == after // there is no route for a moment
		})
		talk(t, fd, leg)
		if got := localOf(t, fd).Addr(); got != before {
			t.Errorf("getsockname of the old connection: %v, want %v", got, before)
		}
		unix.Close(fd)
		leg.Close()
	}
}

func TestAConnectToWhereTheHostHasNoRouteFailsAtOnceAsItsRoutesSay(t *testing.T) {
	asHost(t)
	l, err := netlink.LinkByName("eth0")
	if err != nil {
		t.Fatal(err)
	}
	for _, gateway := range []string{"10.77.0.1", "2001:db8:77::1"} { // no default routes for a while
		if err := netlink.RouteDel(&netlink.Route{LinkIndex: l.Attrs().Index, Gw: net.ParseIP(gateway)}); err != nil {
			t.Fatal(err)
		}
		defer addDefault("eth0", gateway)
	}
	for dest, kind := range map[string]int{
		"10.77.0.64/26": unix.RTN_UNREACHABLE, "10.8.0.0/16": unix.RTN_PROHIBIT, "10.9.0.0/16": unix.RTN_BLACKHOLE,
		"2001:db8:77::/96": unix.RTN_UNREACHABLE, "fd08::/16": unix.RTN_PROHIBIT, "fd09::/16": unix.RTN_BLACKHOLE,
	} {
		r := &netlink.Route{Dst: ipNet(netip.MustParsePrefix(dest)), Type: kind}
		if err := netlink.RouteAdd(r); err != nil {
			t.Fatal(err)
		}
		defer netlink.RouteDel(r)
	}
	anyway := []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("2001:db8:100::/48")}
	f := newFabric(t, Config{Anyway: anyway})
	p := newProgram(t, f)
	for to, want := range map[string]error{
		"203.0.113.1": unix.ENETUNREACH, "10.77.0.65": unix.EHOSTUNREACH, "10.8.0.1": unix.EACCES, "10.9.0.1": unix.EINVAL,
		"2001:db8::1": unix.ENETUNREACH, "2001:db8:77::9": unix.EHOSTUNREACH, "fd08::1": unix.EACCES, "fd09::1": unix.EINVAL,
		"10.77.0.9": unix.EINPROGRESS, "198.51.100.1": unix.EINPROGRESS, "127.0.0.1": unix.EINPROGRESS, "10.77.0.2": unix.EINPROGRESS,
		"2001:db8:77:0:1::9": unix.EINPROGRESS, "2001:db8:100::1": unix.EINPROGRESS, "::1": unix.EINPROGRESS, "2001:db8:77::2": unix.EINPROGRESS,
	} {
		addr := netip.MustParseAddr(to)
		fd := p.socket(domainOf(addr), unix.SOCK_NONBLOCK)
		if err := unix.Connect(fd, sockaddr(netip.AddrPortFrom(addr, 80))); err != want {
			t.Errorf("connect to %s: %v, want %v", to, err, want)
		} else if err == unix.EINPROGRESS {
			next(t, f).Refuse(Refused)
		}
		unix.Close(fd)
	}
	for _, tc := range []struct{ gateway, dest string }{{"10.77.0.1", "93.184.216.34:80"}, {"2001:db8:77::1", "[2606::34]:80"}} {
		dest := netip.MustParseAddrPort(tc.dest)
		connect := func(bind netip.AddrPort) (fd int, err error) {
			fd = p.socket(domainOf(dest.Addr()), unix.SOCK_NONBLOCK)
			if bind.IsValid() {
				err = unix.Bind(fd, sockaddr(bind))
			}
			if err == nil {
				err = unix.Connect(fd, sockaddr(dest))
			}
			return fd, err
		}
		try := func(want error) func() bool {
			return func() bool {
				fd, err := connect(netip.AddrPort{})
				defer unix.Close(fd)
				if err == unix.EINPROGRESS {
					next(t, f).Refuse(Refused)
				}
				return err == want
			}
		}
		if err := addDefault("eth0", tc.gateway); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the new route is followed", try(unix.EINPROGRESS))
		bind := netip.MustParseAddrPort("0.0.0.0:7070")
		if dest.Addr().Is6() {
			bind = netip.MustParseAddrPort("[::]:7071")
		}
		fd, err := connect(bind)
		if err != unix.EINPROGRESS {
			t.Fatal(err)
		}
		h := next(t, f)
		if own := sourceHere(t, dest); h.App != netip.AddrPortFrom(own, bind.Port()) {
			t.Errorf("from a chosen port to %v: held from %v, want from %v", dest, h.App, own)
		}
		leg, err := h.Connect()
		if err != nil {
			t.Fatal(err)
		}
		if err := netlink.RouteDel(&netlink.Route{LinkIndex: l.Attrs().Index, Gw: net.ParseIP(tc.gateway)}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the loss of the route is followed", try(unix.ENETUNREACH))
		unix.SetNonblock(fd, false)
		talk(t, fd, leg) // a connection that is there lives on
		unix.Close(fd)
		leg.Close()
	}
}

func TestSettingsOfTheHostAreThoseOfTheFabric(t *testing.T) {
	asHost(t)
	for name, value := range map[string]string{
		"net/ipv4/ip_local_port_range": "40000\t41000", "net/ipv4/ip_unprivileged_port_start": "80", "net/ipv4/tcp_keepalive_time": "77",
		"net/core/somaxconn": "99", "net/ipv4/tcp_rmem": "4096\t100000\t5000000", "net/ipv6/bindv6only": "1",
	} {
		old, err := os.ReadFile("/proc/sys/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile("/proc/sys/"+name, []byte(value), 0); err != nil {
			t.Fatal(err)
		}
		defer os.WriteFile("/proc/sys/"+name, old, 0)
	}
	f := newFabric(t, Config{})
	p := newProgram(t, f)
	for _, name := range copied {
		want, err := os.ReadFile("/proc/sys/" + name)
		if err != nil {
			continue
		}
		var got []byte
		p.do(func() { got, _ = os.ReadFile("/proc/sys/" + name) })
		if string(got) != string(want) {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	for name, want := range set {
		var got []byte
		var err error
		p.do(func() { got, err = os.ReadFile("/proc/sys/" + name) })
		if err == nil && strings.TrimSpace(string(got)) != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	fd, _ := p.connect(netip.AddrPortFrom(far4, 80))
	defer unix.Close(fd)
	if port := next(t, f).App.Port(); port < 40000 || port > 41000 {
		t.Errorf("connected from port %d", port)
	}
}

func TestLocalIsWhatTheHostHas(t *testing.T) {
	f := newFabric(t, Config{})
	for a, want := range map[string]bool{"10.77.0.2": true, "10.77.0.1": false, "127.1.2.3": true, "::1": true, "2001:db8:77::2": true, "8.8.8.8": false, "::ffff:10.77.0.2": true} {
		if got := f.Local(netip.MustParseAddr(a)); got != want {
			t.Errorf("Local(%s) = %v, want %v", a, got, want)
		}
	}
}
