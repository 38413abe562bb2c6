package netsim

import (
	"encoding/binary"
	"net/netip"
)

// A router must know the Ethernet addresses of its neighbours, and they must know its own. The functions
// below read and write the few ARP (RFC 826) and neighbour discovery (RFC 4861) messages that takes.

const (
	arpLen     = 28 // bytes, for IPv4 over Ethernet
	arpRequest = 1
	arpReply   = 2

	ndpLen           = 32 // bytes: solicitation or advertisement with one link-layer address option
	ndpSolicitation  = 135
	ndpAdvertisement = 136
	ndpOptSource     = 1
	ndpOptTarget     = 2
	ndpHopLimit      = 255 // RFC 4861 §7.1: anything else came through a router
)

var broadcastMAC = hardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// hello is what one ARP or NDP message says: from tells its Ethernet address, and may ask for that of target.
type hello struct {
	from   netip.Addr // invalid: unspecified, as in a duplicate address probe
	mac    hardwareAddr
	target netip.Addr
	asks   bool
}

// parseHello reads a frame; ok is false if it is neither ARP nor a neighbour message.
func parseHello(frame []byte) (h hello, ok bool) {
	if len(frame) < etherHeaderLen {
		return h, false
	}
	body := frame[etherHeaderLen:]
	switch binary.BigEndian.Uint16(frame[12:]) {
	case etherARP:
		return parseARP(body)
	case etherIPv6:
		return parseNDP(frame[6:12], body)
	}
	return h, false
}

func parseARP(b []byte) (h hello, ok bool) {
	if len(b) < arpLen || [6]byte(b[:6]) != [6]byte{0, 1, 0x08, 0, 6, 4} {
		return h, false
	}
	h.mac = hardwareAddr(b[8:14])
	if from := netip.AddrFrom4([4]byte(b[14:18])); !from.IsUnspecified() {
		h.from = from
	}
	h.target = netip.AddrFrom4([4]byte(b[24:28]))
	h.asks = binary.BigEndian.Uint16(b[6:]) == arpRequest
	return h, true
}

// parseNDP reads a neighbour solicitation or advertisement. src is the frame's source, which stands in for
// a missing option.
func parseNDP(src, ip []byte) (h hello, ok bool) {
	if len(ip) < ipv6HeaderLen+24 || ip[6] != protoICMPv6 || ip[7] != ndpHopLimit {
		return h, false
	}
	from, icmp := netip.AddrFrom16([16]byte(ip[8:24])), ip[ipv6HeaderLen:]
	h.target = netip.AddrFrom16([16]byte(icmp[8:24]))
	option := byte(ndpOptSource)
	switch icmp[0] {
	case ndpSolicitation:
		h.asks = true
		if !from.IsUnspecified() {
			h.from = from
		}
	case ndpAdvertisement:
		h.from, option = h.target, ndpOptTarget
	default:
		return h, false
	}
	h.mac = hardwareAddr(src)
	if o := icmp[24:]; len(o) >= 8 && o[0] == option && o[1] == 1 {
		h.mac = hardwareAddr(o[2:8])
	}
	return h, true
}

// appendQuestion appends the frame that asks who has target.
func appendQuestion(b []byte, mac hardwareAddr, own, target netip.Addr) []byte {
	if target.Is4() {
		b = appendEther(b, broadcastMAC, mac, etherARP)
		return appendARP(b, arpRequest, mac, own, hardwareAddr{}, target)
	}
	group := solicitedNode(target)
	to := group.As16()
	b = appendEther(b, hardwareAddr{0x33, 0x33, to[12], to[13], to[14], to[15]}, mac, etherIPv6)
	return appendNDP(b, ndpSolicitation, mac, own, group, target)
}

// appendAnswer appends the frame that tells asker that mac has target. own answers for itself.
func appendAnswer(b []byte, mac hardwareAddr, asker hello) []byte {
	if asker.target.Is4() {
		from := asker.from
		if !from.IsValid() {
			from = netip.IPv4Unspecified()
		}
		b = appendEther(b, asker.mac, mac, etherARP)
		return appendARP(b, arpReply, mac, asker.target, asker.mac, from)
	}
	to := asker.from
	if !to.IsValid() {
		to = allNodes // RFC 4861 §7.2.4
	}
	b = appendEther(b, asker.mac, mac, etherIPv6)
	return appendNDP(b, ndpAdvertisement, mac, asker.target, to, asker.target)
}

var allNodes = netip.MustParseAddr("ff02::1")

func appendARP(b []byte, op uint16, mac hardwareAddr, ip netip.Addr, toMAC hardwareAddr, toIP netip.Addr) []byte {
	b = append(b, 0, 1, 0x08, 0, 6, 4)
	b = binary.BigEndian.AppendUint16(b, op)
	b = append(append(b, mac[:]...), ip.AsSlice()...)
	return append(append(b, toMAC[:]...), toIP.AsSlice()...)
}

func appendNDP(b []byte, kind byte, mac hardwareAddr, from, to, target netip.Addr) []byte {
	at := len(b)
	b = appendIPv6Header(b, from, to, ecnNotECT, ndpHopLimit, protoICMPv6, ndpLen)
	flags, option := byte(0), byte(ndpOptSource)
	if kind == ndpAdvertisement {
		flags, option = 0xe0, ndpOptTarget // router, solicited, override
		if to == allNodes {
			flags = 0xa0
		}
	}
	b = append(b, kind, 0, 0, 0, flags, 0, 0, 0)
	b = append(b, target.AsSlice()...)
	b = append(append(b, option, 1), mac[:]...)
	setTransportChecksum(b[at:], ipv6HeaderLen, protoICMPv6, 2)
	return b
}

// solicitedNode returns the multicast group of an address (RFC 4291 §2.7.1).
func solicitedNode(a netip.Addr) netip.Addr {
	v := a.As16()
	return netip.AddrFrom16([16]byte{0xff, 0x02, 11: 1, 12: 0xff, 13: v[13], 14: v[14], 15: v[15]})
}
