package netsim

import "encoding/binary"

type hardwareAddr [6]byte

const (
	etherHeaderLen = 14
	etherIPv4      = 0x0800
	etherARP       = 0x0806
	etherIPv6      = 0x86dd
)

// appendEther appends an Ethernet header.
func appendEther(b []byte, dst, src hardwareAddr, kind uint16) []byte {
	b = append(b, dst[:]...)
	b = append(b, src[:]...)
	return binary.BigEndian.AppendUint16(b, kind)
}

// etherKind returns the EtherType for an IP packet.
func etherKind(ip []byte) uint16 {
	if ip[0]>>4 == 6 {
		return etherIPv6
	}
	return etherIPv4
}

// wires holds the Ethernet headers of one side's trace: of packets that come in from the endpoint, and of
// packets that go out to it.
type wires struct{ in, out []byte }

func newWires(endpoint, router hardwareAddr, v6 bool) wires {
	kind := uint16(etherIPv4)
	if v6 {
		kind = etherIPv6
	}
	return wires{appendEther(nil, router, endpoint, kind), appendEther(nil, endpoint, router, kind)}
}

// The Ethernet addresses in the traces of the UDP relay; locally administered.
var (
	clientMAC = hardwareAddr{0x02, 0, 0, 0, 0, 0x01}
	routerMAC = hardwareAddr{0x02, 0, 0, 0, 0, 0x02}
	serverMAC = hardwareAddr{0x02, 0, 0, 0, 0, 0x03}
)
