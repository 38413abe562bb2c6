package fabric

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A mirror makes a fabric look like the host: what the host can reach is local there, from the address that the host would use. What was
// reachable once stays so, because connections may live on.
type mirror struct {
	host, here *netlink.Handle
	lo         int // index of the loopback interface

	mu    sync.RWMutex            // guards addrs
	addrs map[netip.Addr]struct{} // of the host; bounded by the host's configuration
}

// families are those of netlink.
var families = []int{netlink.FAMILY_V4, netlink.FAMILY_V6}

func newMirror(c *crew) (*mirror, error) {
	m := &mirror{addrs: map[netip.Addr]struct{}{}}
	var err error
	if m.host, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
		return nil, fmt.Errorf("talk to the host's network: %w", err)
	}
	if m.here, err = onCrew(c, func() (*netlink.Handle, error) { return netlink.NewHandle(unix.NETLINK_ROUTE) }); err != nil {
		m.host.Close()
		return nil, fmt.Errorf("talk to the new network: %w", err)
	}
	lo, err := m.here.LinkByName("lo")
	if err == nil {
		m.lo = lo.Attrs().Index
		err = m.here.LinkSetUp(lo)
	}
	if err != nil {
		m.close()
		return nil, fmt.Errorf("bring up the loopback interface: %w", err)
	}
	return m, nil
}

func (m *mirror) close() {
	m.host.Close()
	m.here.Close()
}

// update copies the host's addresses and routes.
func (m *mirror) update() error {
	addrs := map[netip.Addr]struct{}{}
	byLink := map[int][]netip.Addr{}
	var errs []error
	for _, family := range families {
		list, err := m.host.AddrList(nil, family)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, a := range list {
			ip, ok := netip.AddrFromSlice(a.IP)
			if !ok {
				continue
			}
			ip = ip.Unmap()
			addrs[ip] = struct{}{}
			byLink[a.LinkIndex] = append(byLink[a.LinkIndex], ip)
			if !ip.IsLoopback() && !ip.IsLinkLocalUnicast() {
				errs = append(errs, m.addAddress(ip))
			}
		}
		errs = append(errs, m.copyRoutes(family, byLink))
	}
	m.mu.Lock()
	m.addrs = addrs
	m.mu.Unlock()
	return errors.Join(errs...)
}

// addAddress gives the loopback interface an address of the host.
func (m *mirror) addAddress(ip netip.Addr) error {
	lo := &netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: m.lo, Name: "lo"}}
	a := &netlink.Addr{IPNet: network(netip.PrefixFrom(ip, ip.BitLen())), Flags: unix.IFA_F_NODAD}
	if err := m.here.AddrReplace(lo, a); err != nil {
		return fmt.Errorf("give the loopback interface %v: %w", ip, err)
	}
	return nil
}

// copyRoutes makes local what the host has a route to.
func (m *mirror) copyRoutes(family int, byLink map[int][]netip.Addr) error {
	routes, err := m.host.RouteList(nil, family)
	if err != nil {
		return fmt.Errorf("list the host's routes: %w", err)
	}
	var errs []error
	for _, r := range routes {
		if r.Type != unix.RTN_UNICAST || r.Dst == nil {
			continue
		}
		src := r.Src
		if src == nil {
			src = sourceOf(byLink[r.LinkIndex], family)
		}
		local := netlink.Route{LinkIndex: m.lo, Dst: r.Dst, Src: src, Type: unix.RTN_LOCAL, Scope: unix.RT_SCOPE_HOST, Table: unix.RT_TABLE_LOCAL, Protocol: unix.RTPROT_STATIC}
		if family == netlink.FAMILY_V6 {
			if r.Dst.IP.IsLinkLocalUnicast() || r.Dst.IP.IsMulticast() {
				continue // of one interface, which a name in the address tells; there is none here
			}
			local.Scope = unix.RT_SCOPE_UNIVERSE
		}
		if err := m.here.RouteReplace(&local); err != nil {
			errs = append(errs, fmt.Errorf("make %v local: %w", r.Dst, err))
		}
	}
	return errors.Join(errs...)
}

// sourceOf returns the address that packets leave a link from: the first that reaches beyond it.
func sourceOf(addrs []netip.Addr, family int) net.IP {
	for _, a := range addrs {
		if a.Is4() == (family == netlink.FAMILY_V4) && !a.IsLinkLocalUnicast() {
			return a.AsSlice()
		}
	}
	return nil
}

func network(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// has reports whether the host has an address.
func (m *mirror) has(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	if a.IsLoopback() {
		return true
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	_, ok := m.addrs[a]
	return ok
}
