package fabric

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
)

var (
	prefix = netip.MustParsePrefix
	ip     = netip.MustParseAddr
)

func TestEveryAddressHasARepresentativeOfItsWidestRoute(t *testing.T) {
	all := []netip.Prefix{prefix("0.0.0.0/0"), prefix("10.0.0.0/8"), prefix("10.0.0.0/24"), prefix("10.255.255.0/24"), prefix("192.0.2.0/24"),
		prefix("10.1.2.3/32"), prefix("::/0"), prefix("fc00::/7"), prefix("2001:db8::/32"), prefix("10.2.0.0/31"), prefix("10.3.0.0/30")}
	for _, p := range all {
		a, ok := representative(p, all)
		if !ok || !p.Contains(a) {
			t.Errorf("representative(%v) = %v, %v", p, a, ok)
			continue
		}
		for _, q := range all {
			if q.Bits() > p.Bits() && q.Contains(a) {
				t.Errorf("representative(%v) = %v, which is in %v", p, a, q)
			}
		}
	}
	if a, ok := representative(prefix("10.0.0.0/31"), []netip.Prefix{prefix("10.0.0.0/32"), prefix("10.0.0.1/32")}); ok {
		t.Errorf("representative(10.0.0.0/31) = %v, and both its addresses have routes of their own", a)
	}
}

func TestTheHostHasWhatIsLocalThere(t *testing.T) {
	n := newNetwork()
	for _, p := range []string{"127.0.0.0/8", "10.0.0.2/32", "192.168.7.0/24", "::1/128", "2001:db8::2/128", "fe80::1/128"} {
		n.addOwn(prefix(p), netip.Addr{})
	}
	for a, want := range map[string]bool{
		"127.9.9.9": true, "10.0.0.2": true, "10.0.0.3": false, "192.168.7.200": true, "::1": true, "2001:db8::2": true, "2001:db8::3": false,
		"fe80::1%eth0": true, "fe80::2": false, "::ffff:10.0.0.2": true, "0.0.0.0": false, "::": false,
	} {
		if got := n.has(ip(a)); got != want {
			t.Errorf("has(%s) = %v, want %v", a, got, want)
		}
	}
}

func TestEveryAddressIsLocalEvenWithoutRoutes(t *testing.T) {
	n := newNetwork()
	n.complete(true)
	n.complete(false)
	if got := n.routes[prefix("0.0.0.0/0")].source; got != ip("127.0.0.1") {
		t.Errorf("IPv4 leaves from %v, want 127.0.0.1", got)
	}
	if got := n.routes[prefix("::/0")].source; got != ip("::1") {
		t.Errorf("IPv6 leaves from %v, want ::1", got)
	}
	n = newNetwork()
	n.addOwn(prefix("10.0.0.2/32"), ip("10.0.0.2"))
	n.addOwn(prefix("fe80::2/128"), netip.Addr{})
	n.complete(true)
	n.complete(false)
	if got := n.routes[prefix("0.0.0.0/0")].source; got != ip("10.0.0.2") {
		t.Errorf("IPv4 leaves from %v, want 10.0.0.2", got)
	}
	if got := n.routes[prefix("::/0")].source; got != ip("::1") {
		t.Errorf("IPv6 leaves from %v, want ::1", got)
	}
}

func TestChangesAddBeforeTheyRemove(t *testing.T) {
	have, want := newNetwork(), newNetwork()
	have.addOwn(prefix("2001:db8::2/128"), netip.Addr{})
	have.addOwn(prefix("10.0.0.2/32"), ip("10.0.0.2"))
	have.addFar(prefix("::/0"), ip("2001:db8::2"))
	have.addFar(prefix("0.0.0.0/0"), ip("10.0.0.2"))
	have.addFar(prefix("10.0.0.0/24"), ip("10.0.0.2"))
	want.addOwn(prefix("2001:db8::3/128"), netip.Addr{})
	want.addOwn(prefix("10.0.0.3/32"), ip("10.0.0.3"))
	want.addFar(prefix("::/0"), ip("2001:db8::3"))
	want.addFar(prefix("0.0.0.0/0"), ip("10.0.0.3"))
	want.addBroadcast(prefix("10.0.0.255/32"))
	var got []string
	for _, c := range changes(have, want) {
		sign, what := "+", c.prefix.String()
		if c.remove {
			sign = "-"
		}
		if c.addr.IsValid() {
			what = c.addr.String()
		}
		got = append(got, sign+what)
	}
	wanted := []string{"+2001:db8::3", "+0.0.0.0/0", "+::/0", "+10.0.0.3/32", "+10.0.0.255/32", "+2001:db8::3/128",
		"-10.0.0.0/24", "-10.0.0.2/32", "-2001:db8::2/128", "-2001:db8::2"}
	if !slices.Equal(got, wanted) {
		t.Errorf("changes: %v, want %v", got, wanted)
	}
	if left := changes(want, want); len(left) != 0 {
		t.Errorf("from a network to itself: %v", left)
	}
}

func TestOwnAddressesComeBeforeRoutesToThem(t *testing.T) {
	n := newNetwork()
	n.addOwn(prefix("10.0.0.2/32"), ip("10.0.0.2"))
	n.addFar(prefix("10.0.0.2/32"), ip("10.0.0.9"))
	if got := n.routes[prefix("10.0.0.2/32")].source; got != ip("10.0.0.2") {
		t.Errorf("to its own address from %v", got)
	}
}

func TestWhatIsReachedAnywayHasTheSourceOfItsNextWiderRoute(t *testing.T) {
	n := newNetwork()
	n.addOwn(prefix("10.0.0.2/32"), ip("10.0.0.2"))
	n.addFar(prefix("10.0.0.0/8"), ip("10.0.0.3"))
	n.addDead(prefix("192.0.2.0/25"), unreachable)
	n.addDead(prefix("198.51.100.0/24"), prohibited)
	for _, p := range []string{"10.9.0.0/16", "192.0.2.0/24", "198.51.100.7/32", "10.0.0.2/32", "2001:db8::/32"} {
		n.addAnyway(prefix(p))
	}
	for p, want := range map[string]localRoute{
		"10.9.0.0/16": {source: ip("10.0.0.3")}, "192.0.2.0/24": {source: ip("10.0.0.2")}, "198.51.100.7/32": {source: ip("10.0.0.2")},
		"198.51.100.0/24": {kind: prohibited}, "10.0.0.2/32": {source: ip("10.0.0.2")}, "2001:db8::/32": {source: ip("::1")},
	} {
		if got := n.routes[prefix(p)]; got != want {
			t.Errorf("to %s: %+v, want %+v", p, got, want)
		}
	}
	if r, ok := n.routes[prefix("192.0.2.0/25")]; ok {
		t.Errorf("half of what is reached anyway is %+v", r)
	}
}

func TestPrefixesEnd(t *testing.T) {
	for in, want := range map[string]string{"10.0.0.0/8": "10.255.255.255", "10.0.0.0/30": "10.0.0.3", "10.0.0.1/32": "10.0.0.1", "2001:db8::/126": "2001:db8::3"} {
		if got := lastOf(prefix(in)); fmt.Sprint(got) != want {
			t.Errorf("lastOf(%s) = %v, want %s", in, got, want)
		}
	}
}

func TestHugeHostsAreCopiedInPart(t *testing.T) {
	n := newNetwork()
	for i := range 4 * maxPrefixes {
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 32)
		n.addOwn(p, p.Addr())
		n.addFar(p, ip("192.0.2.1"))
		n.addBroadcast(p)
	}
	n.complete(true)
	n.complete(false)
	if len(n.own) != maxPrefixes || len(n.routes) != 2*maxPrefixes+2 {
		t.Errorf("%d addresses and %d routes, want %d and %d", len(n.own), len(n.routes), maxPrefixes, 2*maxPrefixes+2)
	}
}
