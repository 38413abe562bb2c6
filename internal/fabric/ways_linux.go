package fabric

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// All addresses are local in the fabric, so that we can answer from them; but a connect to where the host has no route has to fail at
// once. So the kernel of the fabric looks for connects into a table of their own, which has what the host reaches, and for all other
// packets into the table of local addresses. It can tell a connect by what is not chosen yet: the address that it comes from, and the
// port. Connections that are there live on when their route goes, as they do on a host.

// tableWays is the number of that table.
const tableWays = 51

// The priorities of rules, before all that there are.
const (
	ruleOurs = 10 + iota
	ruleSource
	ruleSourceHigh
	ruleWays
	ruleNoWay
	ruleLocal
)

// waysRules are what a family needs, in an order in which connections are never without a route. The kernel has one that sends all packets
// to the local table, which goes when these are there.
func waysRules(family int) []*netlink.Rule {
	at := func(priority, table int) *netlink.Rule {
		r := netlink.NewRule()
		r.Family, r.Priority, r.Table = family, priority, table
		return r
	}
	local := at(ruleLocal, unix.RT_TABLE_LOCAL)
	ours := at(ruleOurs, unix.RT_TABLE_LOCAL)
	ours.Mark = mark
	ways, none := at(ruleWays, tableWays), at(ruleNoWay, unix.RT_TABLE_UNSPEC)
	none.Type = unix.FR_ACT_UNREACHABLE // as if there were no route: ENETUNREACH
	if family == netlink.FAMILY_V4 {
		unchosen := ipNet(netip.PrefixFrom(netip.IPv4Unspecified(), 32))
		ways.Src, none.Src = unchosen, unchosen
		return []*netlink.Rule{local, ours, ways, none}
	}
	// A rule of IPv6 cannot say that there is no source, only that there is any. When nothing is found without, the kernel tries once
	// more with any source that it has: then the port, which 65535 cannot stand for here, says that it is a connect.
	chosen := netlink.NewRulePortRange(1, 65534)
	low, high := at(ruleSource, unix.RT_TABLE_LOCAL), at(ruleSourceHigh, unix.RT_TABLE_LOCAL)
	low.Src, low.Sport = ipNet(netip.MustParsePrefix("::/1")), chosen
	high.Src, high.Sport = ipNet(netip.MustParsePrefix("8000::/1")), chosen
	return []*netlink.Rule{local, ours, low, high, ways, none}
}

// separate has connects of a family look into a table of their own. Where the kernel cannot (it has no CONFIG_IP_MULTIPLE_TABLES), every
// address is one to connect to.
func (m *mirror) separate(family int) error {
	for _, r := range waysRules(family) {
		if err := m.here.RuleAdd(r); err != nil {
			return fmt.Errorf("add a rule of routing: %w", err)
		}
	}
	first := netlink.NewRule()
	first.Family, first.Priority, first.Table = family, 0, unix.RT_TABLE_LOCAL
	if err := m.here.RuleDel(first); err != nil {
		return fmt.Errorf("replace the first rule of routing: %w", err)
	}
	m.apart[family] = true
	return nil
}

// tablesOf returns where the route of a change belongs, if it is about one.
func (m *mirror) tablesOf(c change) []int {
	if c.addr.IsValid() {
		return nil
	}
	p, r := c.prefix, c.route
	switch {
	case m.apart[familyOf(p.Addr())] && r.kind == broadcast:
		return []int{unix.RT_TABLE_LOCAL, tableWays} // nobody may bind there either
	case m.apart[familyOf(p.Addr())]:
		return []int{tableWays}
	case r.implied || r.kind.dead():
		return nil
	}
	return []int{unix.RT_TABLE_LOCAL}
}

func familyOf(a netip.Addr) int {
	if a.Is4() {
		return netlink.FAMILY_V4
	}
	return netlink.FAMILY_V6
}

// route returns what makes r.
func (r localRoute) route(p netip.Prefix, table int) *netlink.Route {
	out := &netlink.Route{LinkIndex: loIndex, Dst: ipNet(p), Table: table, Type: unix.RTN_LOCAL, Protocol: unix.RTPROT_STATIC}
	switch r.kind {
	case reached:
		out.Src = net.IP(r.source.AsSlice())
		if p.Addr().Is4() {
			out.Scope = unix.RT_SCOPE_HOST
		}
	case broadcast:
		out.Type, out.Scope = unix.RTN_BROADCAST, unix.RT_SCOPE_LINK
	default:
		out.Type = deadTypes[r.kind]
		if p.Addr().Is4() {
			out.LinkIndex = 0
		}
	}
	return out
}

var deadTypes = map[routeKind]int{unreachable: unix.RTN_UNREACHABLE, prohibited: unix.RTN_PROHIBIT, blackhole: unix.RTN_BLACKHOLE}

// deadBy returns how a route fails by which a lookup ended with an error, if it was one.
func deadBy(err error) (routeKind, bool) {
	switch {
	case errors.Is(err, unix.EHOSTUNREACH):
		return unreachable, true
	case errors.Is(err, unix.EACCES):
		return prohibited, true
	case errors.Is(err, unix.EINVAL):
		return blackhole, true
	}
	return 0, false
}
