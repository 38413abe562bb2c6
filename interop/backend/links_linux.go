package backend

import (
	"fmt"
	"net"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// The simulator's ends of the two links, and the name that the other ends have in the endpoints.
const (
	leftLink  = "left"
	rightLink = "right"
	peerLink  = "eth0"
	linkMTU   = 1500
)

// side is one of the two networks, as the interop runner lays them out. Hardware addresses are fixed, so that traces of two runs compare.
type side struct {
	link               string // of the simulator
	peer4, peer6       netip.Prefix
	gateway4, gateway6 netip.Prefix // of the simulator
	peerMAC            net.HardwareAddr
	gatewayMAC         net.HardwareAddr
}

var sides = map[string]side{
	Client: {
		link:     leftLink,
		peer4:    netip.MustParsePrefix("193.167.0.100/24"),
		peer6:    netip.MustParsePrefix("fd00:cafe:cafe:0::100/64"),
		gateway4: netip.MustParsePrefix("193.167.0.2/24"),
		gateway6: netip.MustParsePrefix("fd00:cafe:cafe:0::2/64"),

		peerMAC:    net.HardwareAddr{2, 0, 0, 0, 0, 100},
		gatewayMAC: net.HardwareAddr{2, 0, 0, 0, 0, 2},
	},
	Server: {
		link:     rightLink,
		peer4:    netip.MustParsePrefix("193.167.100.100/24"),
		peer6:    netip.MustParsePrefix("fd00:cafe:cafe:100::100/64"),
		gateway4: netip.MustParsePrefix("193.167.100.2/24"),
		gateway6: netip.MustParsePrefix("fd00:cafe:cafe:100::2/64"),

		peerMAC:    net.HardwareAddr{2, 0, 0, 0, 100, 100},
		gatewayMAC: net.HardwareAddr{2, 0, 0, 0, 100, 2},
	},
}

// All networks of a job; an endpoint reaches them through the simulator, also those on its own link.
var (
	network4 = netip.MustParsePrefix("193.167.0.0/16")
	network6 = netip.MustParsePrefix("fd00:cafe:cafe::/48")
)

const (
	serverAuthority = "193.167.100.100:443"
	gateAuthority   = "193.167.0.2:57832" // where a client's script finds that the simulator runs
)

// hostsFile is /etc/hosts of both endpoints.
const hostsFile = `127.0.0.1 localhost
::1 localhost
193.167.0.2 sim
193.167.100.100 server server4 server46
fd00:cafe:cafe:100::100 server6 server46
193.167.0.100 client client4 client46
fd00:cafe:cafe:0::100 client6 client46
`

// connect makes the link between this network namespace and that of process pid, and configures the end that is here.
func connect(role string, pid int) error {
	s := sides[role]
	link := &netlink.Veth{
		LinkAttrs:        netlink.LinkAttrs{Name: s.link, MTU: linkMTU, HardwareAddr: s.gatewayMAC},
		PeerName:         peerLink,
		PeerMTU:          linkMTU,
		PeerHardwareAddr: s.peerMAC,
		PeerNamespace:    netlink.NsPid(pid),
	}
	if err := netlink.LinkAdd(link); err != nil {
		return fmt.Errorf("link to the %s: %w", role, err)
	}
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer h.Close()
	if err := configure(h, s.link, s.gateway4, s.gateway6, 0); err != nil {
		return fmt.Errorf("link to the %s: %w", role, err)
	}
	return neighbour(h, s.link, s.peerMAC, s.peer4.Addr(), s.peer6.Addr())
}

// configurePeer configures the network namespace that this process is in as that of role, whose link is there.
func configurePeer(role string) error {
	s := sides[role]
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer h.Close()
	if err := linkUp(h, "lo"); err != nil {
		return err
	}
	// Everything goes through the simulator, so there is no route to the neighbours on the link itself.
	if err := configure(h, peerLink, s.peer4, s.peer6, unix.IFA_F_NOPREFIXROUTE); err != nil {
		return err
	}
	if err := neighbour(h, peerLink, s.gatewayMAC, s.gateway4.Addr(), s.gateway6.Addr()); err != nil {
		return err
	}
	if err := route(h, peerLink, network4, s.gateway4.Addr()); err != nil {
		return err
	}
	return route(h, peerLink, network6, s.gateway6.Addr())
}

// configure gives the link its addresses, IPv4 first, and sets it up. Nothing but these addresses appears on the link: no link-local
// address, and no search for duplicates, which would take a second.
func configure(h *netlink.Handle, name string, v4, v6 netip.Prefix, flags int) error {
	link, err := h.LinkByName(name)
	if err != nil {
		return fmt.Errorf("link %s: %w", name, err)
	}
	if err := h.LinkSetIP6AddrGenMode(link, nl.IN6_ADDR_GEN_MODE_NONE); err != nil && haveIPv6() {
		return fmt.Errorf("link-local address of %s: %w", name, err)
	}
	for _, addr := range []struct {
		prefix netip.Prefix
		flags  int
	}{{v4, flags}, {v6, flags | unix.IFA_F_NODAD}} {
		if addr.prefix.Addr().Is6() && !haveIPv6() {
			continue
		}
		if err := h.AddrAdd(link, &netlink.Addr{IPNet: ipNet(addr.prefix), Flags: addr.flags}); err != nil {
			return fmt.Errorf("address %v of %s: %w", addr.prefix, name, err)
		}
	}
	return h.LinkSetUp(link)
}

// neighbour tells the kernel who is at the other end. It would ask otherwise, and ask again only after a second when the first question
// came before the other end was up.
func neighbour(h *netlink.Handle, name string, mac net.HardwareAddr, addrs ...netip.Addr) error {
	link, err := h.LinkByName(name)
	if err != nil {
		return fmt.Errorf("link %s: %w", name, err)
	}
	for _, addr := range addrs {
		if addr.Is6() && !haveIPv6() {
			continue
		}
		n := &netlink.Neigh{LinkIndex: link.Attrs().Index, State: unix.NUD_PERMANENT, IP: addr.AsSlice(), HardwareAddr: mac}
		if err := h.NeighSet(n); err != nil {
			return fmt.Errorf("neighbour %v of %s: %w", addr, name, err)
		}
	}
	return nil
}

// route sends to through gateway, which is on the link even though no route says so.
func route(h *netlink.Handle, name string, to netip.Prefix, gateway netip.Addr) error {
	if to.Addr().Is6() && !haveIPv6() {
		return nil
	}
	link, err := h.LinkByName(name)
	if err != nil {
		return err
	}
	r := &netlink.Route{
		LinkIndex: link.Attrs().Index,
		Dst:       ipNet(to),
		Gw:        gateway.AsSlice(),
		Flags:     int(netlink.FLAG_ONLINK),
	}
	if err := h.RouteAdd(r); err != nil {
		return fmt.Errorf("route to %v: %w", to, err)
	}
	return nil
}

// haveIPv6 tells whether the kernel was started with IPv6. Without it all tests but those of IPv6 still work.
func haveIPv6() bool {
	_, err := os.Stat("/proc/sys/net/ipv6")
	return err == nil
}

func linkUp(h *netlink.Handle, name string) error {
	link, err := h.LinkByName(name)
	if err != nil {
		return fmt.Errorf("link %s: %w", name, err)
	}
	return h.LinkSetUp(link)
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// forbidForwarding keeps the kernel of the simulator's namespace from carrying packets past the simulator. A new namespace inherits
// the host's setting for IPv4.
func forbidForwarding() error {
	for _, path := range []string{"/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding"} {
		if value, err := os.ReadFile(path); err != nil || string(value) == "0\n" {
			continue // without the file there is no such protocol
		}
		if err := os.WriteFile(path, []byte("0\n"), 0); err != nil {
			return fmt.Errorf("forwarding is on and stays on: %w", err)
		}
	}
	return nil
}

func loopbackUp() error {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer h.Close()
	return linkUp(h, "lo")
}
