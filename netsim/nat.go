package netsim

import (
	"net/netip"
	"time"
)

// nat is the address translator of scenario rebind: shared by both directions, in front of the client.
// Rebindings happen when the next packet passes, which nobody can tell from happening in time.
type nat struct {
	NAT
	seed    uint64
	on      bool
	next    time.Duration // of the next rebinding, from the start of the scenario
	clients [2]netip.Addr // the client's own addresses, IPv4 and IPv6
	outside [2]netip.Addr // what the world sees, per family
	ports   map[uint16]uint16
	owner   map[uint16]uint16 // external port to the client's; 0 = was used, is invalid
	order   []uint16          // the client's ports in the order of their first packets
	draws   uint64
	rebinds int
}

// maxMappings bounds the client ports that the NAT knows; a client with more gets nothing through.
const maxMappings = 4096

func (n *nat) init(c NAT, seed uint64) {
	n.NAT, n.seed, n.on, n.next = c, seed, c.First > 0, c.First
	n.clients, n.outside = clientAddrs(), clientAddrs()
	n.ports, n.owner = make(map[uint16]uint16), make(map[uint16]uint16)
}

// translate rewrites p and reports whether it may pass.
func (n *nat) translate(since time.Duration, from Side, p *Packet) bool {
	if !n.on {
		return true
	}
	n.skip(since)
	for n.next > 0 && since >= n.next {
		n.rebind()
	}
	if from == Left {
		return n.outbound(p)
	}
	return n.inbound(p)
}

// outbound gives a packet of the client its outside source; other sources do not pass.
func (n *nat) outbound(p *Packet) bool {
	family, ok := n.family(p.Src.Addr())
	if !ok {
		return false
	}
	inside := p.Src.Port()
	outside, known := n.ports[inside]
	if !known {
		if len(n.order) >= maxMappings {
			return false
		}
		outside = inside
		if _, taken := n.owner[outside]; taken {
			outside = n.drawPort()
		}
		n.order = append(n.order, inside)
		n.bind(inside, outside)
	}
	p.setSrc(netip.AddrPortFrom(n.outside[family], outside))
	return true
}

// inbound finds the client's port by the destination port alone: the address is not compared.
func (n *nat) inbound(p *Packet) bool {
	inside := n.owner[p.Dst.Port()]
	if inside == 0 {
		return false
	}
	family := 0
	if p.Dst.Addr().Is6() {
		family = 1
	}
	p.setDst(netip.AddrPortFrom(n.clients[family], inside))
	return true
}

func (n *nat) family(a netip.Addr) (int, bool) {
	for i, c := range n.clients {
		if a == c {
			return i, true
		}
	}
	return 0, false
}

func (n *nat) bind(inside, outside uint16) {
	n.ports[inside], n.owner[outside] = outside, inside
}

// maxCatchUp bounds the rebindings that are made up for after a time without traffic. Those before them
// have been seen by nobody.
const maxCatchUp = 100

func (n *nat) skip(since time.Duration) {
	if n.Every <= 0 || since <= n.next {
		return
	}
	if behind := int((since - n.next) / n.Every); behind > maxCatchUp {
		n.rebinds += behind - maxCatchUp
		n.next += time.Duration(behind-maxCatchUp) * n.Every
	}
}

// rebind gives every mapping a new external port, never used before, and with Addr the client another
// address. The old ports are dead at once: what is on its way to them is lost.
func (n *nat) rebind() {
	n.rebinds++
	n.next += n.Every
	if n.Every <= 0 {
		n.next = 0
	}
	if n.Addr {
		octet := n.drawOctet()
		for i := range n.outside {
			n.outside[i] = withLastByte(n.clients[i], octet)
		}
	}
	for _, inside := range n.order {
		n.owner[n.ports[inside]] = 0
		n.bind(inside, n.drawPort())
	}
}

// maxPortDraws bounds the search for a port that was never used; when they run out, old ones come back.
const maxPortDraws = 32

func (n *nat) drawPort() (port uint16) {
	for range maxPortDraws {
		port = uint16(1 + below(65535, n.draw(forNATPort)))
		if _, used := n.owner[port]; !used {
			return port
		}
	}
	for port == 0 || n.owner[port] != 0 { // ends: maxMappings is less than there are ports
		port++
	}
	return port
}

// drawOctet picks the last byte of the new outside address: 3..254 without those of the present address, of
// the client and of a second host in its network. (.1 and .2 are routers; the original network may pick them.)
func (n *nat) drawOctet() byte {
	present := n.outside[0].As4()[3]
	for {
		b := byte(3 + below(252, n.draw(forNATAddr)))
		if b != present && b != n.clients[0].As4()[3] && b != secondHost {
			return b
		}
	}
}

const secondHost = 90 // of the cross traffic

func (n *nat) draw(why purpose) uint64 {
	n.draws++
	return luck(n.seed, Left, why, n.draws)
}

// withLastByte replaces the last byte of a. For IPv6 that is the low half of the last group: ::100 becomes ::1b.
func withLastByte(a netip.Addr, b byte) netip.Addr {
	if a.Is4() {
		v := a.As4()
		v[3] = b
		return netip.AddrFrom4(v)
	}
	v := a.As16()
	v[14], v[15] = 0, b
	return netip.AddrFrom16(v)
}
