package netsim

import "net/netip"

// Side names an end of the simulated link.
type Side uint8

// The two ends. Traces, interfaces and statistics are named after them.
const (
	Left  Side = iota // the client's side
	Right             // the server's side
)

// Other returns the opposite end.
func (s Side) Other() Side { return s ^ 1 }

func (s Side) String() string {
	if s == Left {
		return "left"
	}
	return "right"
}

// The addresses of the test network, the same in every run. The endpoints own ClientV4, ClientV6, ServerV4
// and ServerV6; the simulator is their gateway to the other side.
var (
	ClientV4 = netip.MustParseAddr("193.167.0.100")
	ClientV6 = netip.MustParseAddr("fd00:cafe:cafe::100")
	ServerV4 = netip.MustParseAddr("193.167.100.100")
	ServerV6 = netip.MustParseAddr("fd00:cafe:cafe:100::100")

	LeftGatewayV4  = netip.MustParseAddr("193.167.0.2")
	LeftGatewayV6  = netip.MustParseAddr("fd00:cafe:cafe::2")
	RightGatewayV4 = netip.MustParseAddr("193.167.100.2")
	RightGatewayV6 = netip.MustParseAddr("fd00:cafe:cafe:100::2")

	LeftNetV4  = netip.MustParsePrefix("193.167.0.0/24")
	LeftNetV6  = netip.MustParsePrefix("fd00:cafe:cafe::/64")
	RightNetV4 = netip.MustParsePrefix("193.167.100.0/24")
	RightNetV6 = netip.MustParsePrefix("fd00:cafe:cafe:100::/64")
)

// ServerPort is the UDP port on which servers of the test network listen.
const ServerPort = 443

// network describes one side as the relays see it.
type network struct {
	nets     [2]netip.Prefix // of this side, IPv4 and IPv6
	gateways [2]netip.Addr   // the simulator's own addresses on this side
	hosts    [2]netip.Addr   // the endpoint
}

var networks = [2]network{
	Left:  {[2]netip.Prefix{LeftNetV4, LeftNetV6}, [2]netip.Addr{LeftGatewayV4, LeftGatewayV6}, [2]netip.Addr{ClientV4, ClientV6}},
	Right: {[2]netip.Prefix{RightNetV4, RightNetV6}, [2]netip.Addr{RightGatewayV4, RightGatewayV6}, [2]netip.Addr{ServerV4, ServerV6}},
}

// contains reports whether a lies in one of the networks of this side and is not the simulator itself.
func (n *network) contains(a netip.Addr) bool {
	return (n.nets[0].Contains(a) || n.nets[1].Contains(a)) && !n.isGateway(a)
}

func (n *network) isGateway(a netip.Addr) bool { return a == n.gateways[0] || a == n.gateways[1] }

// toGateway reports whether p is UDP for the simulator itself: an answer to the readiness probe, perhaps a late one.
// Traces leave it out, since they are of what the endpoints say to each other; the probe is over when a run begins.
func toGateway(p *Packet) bool {
	a := p.Dst.Addr()
	return p.UDP && (networks[Left].isGateway(a) || networks[Right].isGateway(a))
}
