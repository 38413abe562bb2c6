package fabric

import (
	"maps"
	"net/netip"
	"slices"
)

// A network is what the fabric copies of the host: which addresses it has, and from which it would reach others.
type network struct {
	own    []netip.Prefix              // addresses of the host, mostly single ones; limit: maxPrefixes
	routes map[netip.Prefix]localRoute // of the fabric, to its loopback interface; limit: maxPrefixes
	addrs  map[netip.Addr]struct{}     // IPv6 addresses of its loopback interface; limit: maxPrefixes
}

// A localRoute makes a prefix part of the fabric.
type localRoute struct {
	kind    routeKind
	source  netip.Addr // of those that are reached: from which the program connects there; zero = the address itself
	implied bool       // the kernel has it among its local addresses anyway
}

// A routeKind is what becomes of a connect.
type routeKind uint8

const (
	reached     routeKind = iota
	broadcast             // nobody connects there
	unreachable           // nobody does, and the host says so: EHOSTUNREACH,
	prohibited            // EACCES,
	blackhole             // EINVAL
)

func (k routeKind) dead() bool { return k >= unreachable }

// maxPrefixes is how many addresses of the host are known, and half of how many routes. limit: a router of the Internet has a million;
// programs there connect from the source of its default route.
const maxPrefixes = 4096

func newNetwork() *network {
	return &network{routes: map[netip.Prefix]localRoute{}, addrs: map[netip.Addr]struct{}{}}
}

// has reports whether the host has an address.
func (n *network) has(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	return a.IsLoopback() || slices.ContainsFunc(n.own, func(p netip.Prefix) bool { return p.Contains(a) })
}

// addOwn adds addresses that the host has: one, or all of a prefix that is local there. A program connects to them from the source.
func (n *network) addOwn(p netip.Prefix, source netip.Addr) {
	if len(n.own) >= maxPrefixes {
		return
	}
	n.own = append(n.own, p)
	switch {
	case p.Addr().IsLoopback(): // see addLoopback
	case p.Addr().IsLinkLocalUnicast() && p.Addr().Is6(): // belongs to an interface, and here is none like that
	case p.Addr().Is6() && p.IsSingleIP():
		n.addrs[p.Addr()] = struct{}{} // routes of IPv6 may only have a source that an interface has
		n.routes[p] = localRoute{source: p.Addr(), implied: true}
	default:
		n.routes[p] = localRoute{source: source}
	}
}

// addLoopback adds what every network has.
func (n *network) addLoopback() {
	n.routes[netip.PrefixFrom(netip.AddrFrom4([4]byte{127}), 8)] = localRoute{source: netip.AddrFrom4([4]byte{127, 0, 0, 1}), implied: true}
	n.routes[netip.PrefixFrom(netip.IPv6Loopback(), 128)] = localRoute{source: netip.IPv6Loopback(), implied: true}
}

// addFar adds a prefix that the host reaches from a source.
func (n *network) addFar(p netip.Prefix, source netip.Addr) {
	if _, taken := n.routes[p]; taken || len(n.routes) >= 2*maxPrefixes {
		return
	}
	n.routes[p] = localRoute{source: source}
	if source.Is6() && !source.IsLoopback() {
		n.addrs[source] = struct{}{} // which an address of the host is only after a while, if it is new
	}
}

// addBroadcast adds an address to which nobody connects.
func (n *network) addBroadcast(p netip.Prefix) {
	if len(n.routes) < 2*maxPrefixes {
		n.routes[p] = localRoute{kind: broadcast}
	}
}

// addDead adds a prefix to which the host has a route that says that there is none.
func (n *network) addDead(p netip.Prefix, kind routeKind) {
	if _, taken := n.routes[p]; !taken && len(n.routes) < 2*maxPrefixes {
		n.routes[p] = localRoute{kind: kind}
	}
}

// addAnyway adds a prefix that is reached whether the host has a route or not: with the source that the host would use, if it has one.
func (n *network) addAnyway(p netip.Prefix) {
	best, found := netip.Prefix{}, localRoute{source: n.some(p.Addr().Is4())}
	for q, r := range n.routes {
		switch {
		case r.kind.dead() && p.Bits() <= q.Bits() && p.Contains(q.Addr()):
			delete(n.routes, q)
		case r.kind == reached && q.Bits() <= p.Bits() && q.Contains(p.Addr()) && (!best.IsValid() || q.Bits() > best.Bits()):
			best, found = q, localRoute{source: r.source}
		}
	}
	if _, taken := n.routes[p]; !taken && len(n.routes) < 2*maxPrefixes {
		n.routes[p] = found
	}
}

// complete makes every address one that is reached.
func (n *network) complete(is4 bool) {
	all := netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	if is4 {
		all = netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	}
	if !n.routes[all].source.IsValid() {
		n.routes[all] = localRoute{source: n.some(is4)}
	}
}

// some returns an address of the host, of a family: the first that reaches furthest.
func (n *network) some(is4 bool) netip.Addr {
	for _, p := range n.own {
		if a := p.Addr(); p.IsSingleIP() && a.Is4() == is4 && a.IsGlobalUnicast() {
			return a
		}
	}
	if is4 {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	return netip.IPv6Loopback()
}

// representative returns an address of p that no narrower prefix of all has: the kernel's route to it is the one to p. It returns false if
// the likely ones are all taken.
func representative(p netip.Prefix, all []netip.Prefix) (netip.Addr, bool) {
	for _, a := range candidates(p) {
		if p.Contains(a) && !slices.ContainsFunc(all, func(q netip.Prefix) bool { return q.Bits() > p.Bits() && q.Contains(a) }) {
			return a, true
		}
	}
	return netip.Addr{}, false
}

// candidates are addresses of a prefix, spread out: near both its ends and between, and for default routes some that are the Internet's.
func candidates(p netip.Prefix) []netip.Addr {
	if p.Bits() == 0 && p.Addr().Is4() {
		return []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("1.0.0.1"), netip.MustParseAddr("8.8.8.8")}
	}
	if p.Bits() == 0 {
		return []netip.Addr{netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2000::1"), netip.MustParseAddr("2600::1")}
	}
	first, last := p.Masked().Addr(), lastOf(p)
	out := []netip.Addr{first.Next(), last.Prev(), first, last}
	middle := last.AsSlice()
	if i := p.Bits() / 8; i < len(middle) {
		middle[i] &^= 0x80 >> (p.Bits() % 8) // the last address of the lower half
		a, _ := netip.AddrFromSlice(middle)
		out = append(out, a.Prev(), a.Next().Next())
	}
	return out
}

// lastOf returns the last address of a prefix.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < 8*len(b); i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// A change is a step from one network to another. They are to be made in order.
type change struct {
	addr   netip.Addr   // of the loopback interface, or
	prefix netip.Prefix // of a route
	route  localRoute
	remove bool
}

// changes returns the steps from have to want: first what is new, then what is not wanted any more, since the kernel takes routes away
// when their source goes. Wide routes come first: they make the sources of others local.
func changes(have, want *network) []change {
	var out []change
	for _, a := range slices.SortedFunc(maps.Keys(want.addrs), netip.Addr.Compare) {
		if _, ok := have.addrs[a]; !ok {
			out = append(out, change{addr: a})
		}
	}
	for _, p := range slices.SortedFunc(maps.Keys(want.routes), byWidth) {
		if r, ok := have.routes[p]; !ok || r != want.routes[p] {
			out = append(out, change{prefix: p, route: want.routes[p]})
		}
	}
	for _, p := range slices.SortedFunc(maps.Keys(have.routes), byWidth) {
		if _, ok := want.routes[p]; !ok {
			out = append(out, change{prefix: p, route: have.routes[p], remove: true})
		}
	}
	for _, a := range slices.SortedFunc(maps.Keys(have.addrs), netip.Addr.Compare) {
		if _, ok := want.addrs[a]; !ok {
			out = append(out, change{addr: a, remove: true})
		}
	}
	return out
}

func byWidth(a, b netip.Prefix) int {
	if a.Bits() != b.Bits() {
		return a.Bits() - b.Bits()
	}
	return a.Addr().Compare(b.Addr())
}
