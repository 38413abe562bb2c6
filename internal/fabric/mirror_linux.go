package fabric

import (
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A mirror makes a fabric look like the host, and follows it.
type mirror struct {
	log        *slog.Logger
	host, here *netlink.Handle // bounded by their sockets
	news       *os.File        // tells that something of the host has changed
	quit       chan struct{}

	seen atomic.Pointer[network] // the host's
	made *network                // of the fabric; what is in it has been made there
	six  bool                    // the fabric has IPv6

	apart  map[int]bool   // families whose connects have a table of their own: see separate; bounded by families
	anyway []netip.Prefix // Config.Anyway

	inseparable error // why a family is not apart; nil = all are
}

// families are those of netlink.
var families = []int{netlink.FAMILY_V4, netlink.FAMILY_V6}

// newMirror copies the network of the calling thread, the host's, into that of the crew.
func newMirror(c *crew, anyway []netip.Prefix, log *slog.Logger) (m *mirror, err error) {
	m = &mirror{log: log, quit: make(chan struct{}), made: newNetwork(), apart: map[int]bool{}, anyway: anyway}
	m.seen.Store(newNetwork())
	defer func() {
		if err != nil {
			m.close()
		}
	}()
	if m.news, err = openNews(); err != nil { // first: what changes from now on is told
		return nil, err
	}
	if m.host, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
		return nil, fmt.Errorf("talk to the host's network: %w", err)
	}
	if m.here, err = onCrew(c, func() (*netlink.Handle, error) { return netlink.NewHandle(unix.NETLINK_ROUTE) }); err != nil {
		return nil, fmt.Errorf("talk to the private namespace: %w", err)
	}
	if err := m.here.LinkSetUp(loopback()); err != nil {
		return nil, fmt.Errorf("bring up the loopback interface: %w", err)
	}
	// Now any address is local, and may be the source of a route.
	if err := m.change(change{prefix: netip.PrefixFrom(netip.IPv4Unspecified(), 0)}); err != nil {
		return nil, err
	}
	list, err := m.here.AddrList(loopback(), netlink.FAMILY_V6)
	if m.six = err == nil && len(list) > 0; m.six {
		if err := m.change(change{prefix: netip.PrefixFrom(netip.IPv6Unspecified(), 0)}); err != nil {
			return nil, err
		}
	}
	for _, family := range families {
		if err := m.separate(family); err != nil {
			m.inseparable = err
			log.Debug("a connect to where the host has no route will not fail at once", "family", family, "error", err)
		}
	}
	return m, m.update()
}

func loopback() netlink.Link {
	return &netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: loIndex, Name: "lo"}}
}

// close gives everything back.
func (m *mirror) close() {
	for _, h := range []*netlink.Handle{m.host, m.here} {
		if h != nil {
			h.Close()
		}
	}
	if m.news != nil {
		m.news.Close()
	}
}

// stop ends follow.
func (m *mirror) stop() {
	close(m.quit)
	m.news.Close()
}

// openNews opens what tells of changes of the network of the calling thread (rtnetlink(7)).
func openNews() (*os.File, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open a socket to hear of the host's network: %w", err)
	}
	const groups = unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR | unix.RTMGRP_IPV4_ROUTE | unix.RTMGRP_IPV6_ROUTE | unix.RTMGRP_LINK |
		1<<(unix.RTNLGRP_IPV4_RULE-1) | 1<<(unix.RTNLGRP_IPV6_RULE-1)
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("hear of the host's network: %w", err)
	}
	return os.NewFile(uintptr(fd), "news"), nil
}

// settle is how long a change of the host is left to itself before the next one is followed, at least; and restPerLook times as long as
// the last look at it took, so that a host that changes all the time costs a part of a processor only.
const (
	settle      = 2 * time.Millisecond
	restPerLook = 4
)

// follow copies what changes, until stop, and closes the mirror.
func (m *mirror) follow(moved func()) {
	defer m.close()
	raw, err := m.news.SyscallConn()
	if err != nil {
		return
	}
	for m.drain(raw) {
		start := time.Now()
		m.again(moved) // at once: whoever has made a route may be about to connect
		select {
		case <-time.After(max(settle, restPerLook*time.Since(start))):
		case <-m.quit:
			return
		}
	}
}

// again is update, and tells what came of it.
func (m *mirror) again(moved func()) {
	before := m.seen.Load()
	if err := m.update(); err != nil {
		m.log.Warn("the private namespace is not wholly like the host", "error", err)
	}
	if moved != nil && len(changes(before, m.seen.Load())) > 0 {
		moved()
	}
}

// drain waits until something is told, and takes all of it. It returns false when the mirror is stopped. What was told is not read: it may
// be incomplete, and all is looked at anew.
func (m *mirror) drain(raw syscall.RawConn) bool {
	var buf [4096]byte
	err := raw.Read(func(fd uintptr) bool {
		for some := false; ; some = true {
			if _, _, err := unix.Recvfrom(int(fd), buf[:], 0); err == unix.EAGAIN {
				return some
			}
		}
	})
	return err == nil
}

// update copies the host's addresses and routes. What cannot be copied is in the error, all the rest is.
func (m *mirror) update() error {
	want, err := m.look()
	if err != nil {
		return err
	}
	m.seen.Store(want)
	var errs []error
	for _, c := range changes(m.made, want) {
		if err := m.change(c); err != nil {
			errs = append(errs, err)
			continue
		}
		m.note(c)
	}
	return errors.Join(errs...)
}

// note keeps what has been made.
func (m *mirror) note(c change) {
	switch {
	case c.addr.IsValid() && c.remove:
		delete(m.made.addrs, c.addr)
	case c.addr.IsValid():
		m.made.addrs[c.addr] = struct{}{}
	case c.remove:
		delete(m.made.routes, c.prefix)
	default:
		m.made.routes[c.prefix] = c.route
	}
}

// change makes one step in the fabric.
func (m *mirror) change(c change) error {
	if !m.six && (c.addr.Is6() || c.prefix.Addr().Is6()) {
		return nil
	}
	what := c.prefix.String()
	var err error
	if c.addr.IsValid() {
		what = c.addr.String()
		a := &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(c.addr, c.addr.BitLen())), Flags: unix.IFA_F_NODAD | unix.IFA_F_NOPREFIXROUTE}
		if c.remove {
			err = m.here.AddrDel(loopback(), a)
		} else {
			err = m.here.AddrReplace(loopback(), a)
		}
	}
	for _, table := range m.tablesOf(c) {
		if c.remove {
			err = m.here.RouteDel(c.route.route(c.prefix, table))
		} else {
			err = m.here.RouteReplace(c.route.route(c.prefix, table))
		}
		if err != nil {
			break
		}
	}
	switch {
	case err == nil, c.remove && (errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EADDRNOTAVAIL)):
		return nil
	case c.remove:
		return fmt.Errorf("take %s out of the private namespace: %w", what, err)
	}
	return fmt.Errorf("make %s part of the private namespace: %w", what, err)
}

// look looks at the host.
func (m *mirror) look() (*network, error) {
	n := newNetwork()
	for _, family := range families {
		routes, err := m.routes(family)
		if err != nil {
			return nil, fmt.Errorf("list the host's routes: %w", err)
		}
		far := map[netip.Prefix]hostRoute{}
		for r := range known(routes, family) {
			switch r.kind {
			case unix.RTN_LOCAL:
				n.addOwn(r.dst, r.source)
			case unix.RTN_BROADCAST:
				n.addBroadcast(r.dst)
			case unix.RTN_UNICAST, unix.RTN_UNREACHABLE, unix.RTN_PROHIBIT, unix.RTN_BLACKHOLE:
				if had, ok := far[r.dst]; len(far) < maxPrefixes && (!ok || had.kind != unix.RTN_UNICAST) {
					far[r.dst] = r
				}
			}
		}
		m.sources(n, far)
		if !m.apart[family] || len(routes) >= maxPrefixes { // of so many we do not know all
			n.complete(family == netlink.FAMILY_V4)
		}
	}
	n.addLoopback()
	for _, p := range m.anyway {
		n.addAnyway(p)
	}
	return n, nil
}

// routes lists those of all tables of the host. A list that changes while it is read is read again.
func (m *mirror) routes(family int) (list []netlink.Route, err error) {
	for range 5 {
		list, err = m.host.RouteListFiltered(family, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
		if !errors.Is(err, netlink.ErrDumpInterrupted) {
			return list, err
		}
	}
	return list, nil // what changes is told, and all is looked at anew then
}

type hostRoute struct {
	kind   int
	dst    netip.Prefix
	source netip.Addr // zero = the kernel chooses
}

// known yields the routes of a list that say something about the host.
func known(list []netlink.Route, family int) iter.Seq[hostRoute] {
	any := netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	if family == netlink.FAMILY_V6 {
		any = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	return func(yield func(hostRoute) bool) {
		for i := range list[:min(len(list), 2*maxPrefixes)] {
			r := hostRoute{kind: list[i].Type, dst: any}
			if d := list[i].Dst; d != nil {
				addr, ok := netip.AddrFromSlice(d.IP)
				bits, _ := d.Mask.Size()
				if !ok || addr.IsMulticast() {
					continue
				}
				r.dst = netip.PrefixFrom(addr.Unmap(), bits).Masked()
			}
			if src, ok := netip.AddrFromSlice(list[i].Src); ok {
				r.source = src.Unmap()
			}
			if !yield(r) {
				return
			}
		}
	}
}

// sources adds prefixes that the host reaches, and asks its kernel from where if no route says so.
func (m *mirror) sources(n *network, far map[netip.Prefix]hostRoute) {
	if def, ok := far[netip.PrefixFrom(netip.IPv6Unspecified(), 0)]; ok {
		ula := netip.MustParsePrefix("fc00::/7") // reached by the default route, but from another address, if there is one (RFC 6724)
		if _, ok := far[ula]; !ok {
			far[ula] = hostRoute{kind: def.kind, dst: ula}
		}
	}
	all := make([]netip.Prefix, 0, len(far))
	for p := range far {
		all = append(all, p)
	}
	slices.SortFunc(all, byWidth)
	for _, p := range all {
		if p.Addr().Is6() && p.Addr().IsLinkLocalUnicast() {
			continue // of one interface, which a zone in the address tells
		}
		r := far[p]
		if r.kind == unix.RTN_UNICAST && r.source.IsValid() {
			n.addFar(p, r.source)
			continue
		}
		a, ok := representative(p, all)
		if !ok {
			if r.kind == unix.RTN_UNICAST {
				n.addFar(p, n.some(p.Addr().Is4()))
			}
			continue
		}
		source, err := m.ask(a)
		if kind, dead := deadBy(err); dead {
			n.addDead(p, kind)
		} else if source.IsValid() {
			n.addFar(p, source)
		}
	}
}

// ask asks the host's kernel from where it reaches an address. The answer is zero if it has no way there.
func (m *mirror) ask(a netip.Addr) (netip.Addr, error) {
	routes, err := m.host.RouteGet(a.AsSlice())
	if err != nil || len(routes) == 0 {
		return netip.Addr{}, err
	}
	source, _ := netip.AddrFromSlice(routes[0].Src)
	return source.Unmap(), nil
}

// has reports whether the host has an address.
func (m *mirror) has(a netip.Addr) bool { return m.seen.Load().has(a) }

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
