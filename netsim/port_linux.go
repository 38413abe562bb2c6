package netsim

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// port is one interface of the veth relay: a packet socket, and who is behind it.
type port struct {
	side   Side
	name   string
	fd     int
	mac    hardwareAddr
	static hardwareAddr // of the endpoint, if given: all addresses of this side are there
	given  bool
	deaf   [2]bool // gateways[i] belongs to the kernel, which answers for it
	near   map[netip.Addr]hardwareAddr
	held   []Packet // for neighbours not known yet
	in     []byte   // a frame with its virtio header, as read
	out    []byte   // the same, to write
}

const (
	maxNeighbours = 256 // addresses per side
	maxHeld       = 64  // packets per side that wait for a neighbour's answer
	maxFrame      = vnetHeaderLen + etherHeaderLen + 65536
	frameBuffer   = 8 << 20 // bytes of frames that may wait in the kernel
)

// openPort opens a packet socket on the interface in the calling thread's namespace.
func openPort(side Side, name string, endpoint net.HardwareAddr) (*port, error) {
	ifi, err := net.InterfaceByName(name)
	if err != nil {
		return nil, fmt.Errorf("netsim: %s interface %q: %w", side, name, err)
	}
	if len(ifi.HardwareAddr) != 6 {
		return nil, fmt.Errorf("netsim: %s interface %q has no Ethernet address", side, name)
	}
	p := &port{side: side, name: name, mac: hardwareAddr(ifi.HardwareAddr), fd: -1,
		near: make(map[netip.Addr]hardwareAddr), in: make([]byte, maxFrame), out: make([]byte, 0, maxFrame)}
	if len(endpoint) == 6 {
		p.static, p.given = hardwareAddr(endpoint), true
	}
	if err := p.findOwnAddresses(ifi); err != nil {
		return nil, err
	}
	if err := p.open(ifi.Index); err != nil {
		p.close()
		return nil, fmt.Errorf("netsim: packet socket on %q: %w", name, err)
	}
	return p, nil
}

// findOwnAddresses notes which of the simulator's addresses the kernel answers for.
func (p *port) findOwnAddresses(ifi *net.Interface) error {
	addrs, err := ifi.Addrs()
	if err != nil {
		return fmt.Errorf("netsim: addresses of %q: %w", p.name, err)
	}
	for i, gateway := range networks[p.side].gateways {
		p.deaf[i] = slices.ContainsFunc(addrs, func(a net.Addr) bool {
			prefix, err := netip.ParsePrefix(a.String())
			return err == nil && prefix.Addr() == gateway
		})
	}
	return nil
}

func (p *port) open(index int) (err error) {
	// Protocol 0 receives nothing: frames of other interfaces must not come in before bind.
	if p.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0); err != nil {
		return err
	}
	if err = unix.SetsockoptInt(p.fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1); err != nil {
		return err
	}
	// Before Linux 4.20 own frames come back; read knows them by their source.
	unix.SetsockoptInt(p.fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1)
	// A link that just came up has a queue that drops everything until a kernel worker has run. Without a
	// queue, which a veth link has no use for, the first answers to ARP are not lost.
	unix.SetsockoptInt(p.fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1)
	if unix.SetsockoptInt(p.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, frameBuffer) != nil {
		unix.SetsockoptInt(p.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, frameBuffer)
	}
	return unix.Bind(p.fd, &unix.SockaddrLinklayer{Protocol: bigEndian16(unix.ETH_P_ALL), Ifindex: index})
}

// bigEndian16 returns the value whose bytes in memory are those of v in network order.
func bigEndian16(v uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], v)
	return binary.NativeEndian.Uint16(b[:])
}

func (p *port) close() {
	if p.fd >= 0 {
		unix.Close(p.fd)
		p.fd = -1
	}
}

// read returns the next frame, good until the next read, and false if there is none. A frame is empty if it
// is none of an endpoint's or of a kind that the virtio header cannot describe.
func (p *port) read() (h vnetHeader, frame []byte, ok bool) {
	n, err := unix.Read(p.fd, p.in)
	if err != nil {
		return h, nil, errors.Is(err, unix.EINTR) || errors.Is(err, unix.EINVAL)
	}
	if n < vnetHeaderLen+etherHeaderLen || hardwareAddr(p.in[vnetHeaderLen+6:]) == p.mac {
		return h, nil, true
	}
	h, err = parseVnet(p.in)
	return h, p.in[vnetHeaderLen:n], err == nil
}

// write sends a frame, an Ethernet header and what follows it.
func (p *port) write(header, body []byte) error {
	p.out = append(p.out[:0], make([]byte, vnetHeaderLen)...)
	p.out = append(append(p.out, header...), body...)
	_, err := unix.Write(p.fd, p.out)
	return err
}

// missed returns how many frames the kernel dropped because nobody read them, since the last call.
func (p *port) missed() int {
	st, err := unix.GetsockoptTpacketStats(p.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		return 0
	}
	return int(st.Drops)
}

// learn notes where an address is and reports whether that is new.
func (p *port) learn(a netip.Addr, mac hardwareAddr) bool {
	if !a.IsValid() || !networks[p.side].contains(a) {
		return false
	}
	was, known := p.near[a]
	if (known && was == mac) || (!known && len(p.near) >= maxNeighbours) {
		return false
	}
	p.near[a] = mac
	return true
}

// macOf returns where an address of this side is.
func (p *port) macOf(a netip.Addr) (hardwareAddr, bool) {
	if p.given {
		return p.static, true
	}
	mac, ok := p.near[a]
	return mac, ok
}
