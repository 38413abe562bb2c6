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
	source    netip.Addr // from which the program connects there; zero = the address itself
	broadcast bool       // nobody connects there
}

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
	if p.Addr().IsLoopback() || p.Addr().IsLinkLocalUnicast() && p.Addr().Is6() {
		return // every network has these; those of IPv6 belong to an interface, and here is none like that
	}
	if p.Addr().Is6() && p.IsSingleIP() {
		n.addrs[p.Addr()] = struct{}{} // routes of IPv6 may only have a source that an interface has
		return
	}
	n.routes[p] = localRoute{source: source}
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
		n.routes[p] = localRoute{broadcast: true}
	}
}

// complete makes every address local: those that the host cannot reach too, since peers may have them.
func (n *network) complete() {
	any4, any6 := netip.PrefixFrom(netip.IPv4Unspecified(), 0), netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	if !n.routes[any4].source.IsValid() {
		n.routes[any4] = localRoute{source: n.some(true, netip.AddrFrom4([4]byte{127, 0, 0, 1}))}
	}
	if !n.routes[any6].source.IsValid() {
		n.routes[any6] = localRoute{source: n.some(false, netip.IPv6Loopback())}
	}
}

// some returns an address of the host, of a family: the first that reaches furthest.
func (n *network) some(is4 bool, otherwise netip.Addr) netip.Addr {
	for _, p := range n.own {
		if a := p.Addr(); p.IsSingleIP() && a.Is4() == is4 && a.IsGlobalUnicast() {
			return a
		}
	}
	return otherwise
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
