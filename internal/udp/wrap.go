package udp

import (
	"fmt"
	"net"
	"net/netip"
	"time"
)

// Wrap makes a Conn of any net.PacketConn: one datagram a call, no ECN, and a destination address only where c is
// bound to one. Addresses of c must be *net.UDPAddr, have a method AddrPort() netip.AddrPort, or print as "ip:port";
// datagrams from others are skipped. Closing the Conn closes c. For a *net.UDPConn there is New, which is faster.
func Wrap(c net.PacketConn) Conn {
	local, _ := addrPort(c.LocalAddr())
	return &packetConn{inner: c, local: local, buf: make([]byte, readBuffer)}
}

type packetConn struct {
	inner net.PacketConn
	local netip.AddrPort
	buf   []byte // what Read returns trains of
}

func (c *packetConn) Read(trains []Train) (int, error) {
	if len(trains) == 0 {
		return 0, nil
	}
	for soft := 0; ; {
		n, addr, err := c.inner.ReadFrom(c.buf)
		if err != nil {
			if soft++; classOf(err) == nil || soft == maxSoftErrors {
				return 0, err
			}
			continue // an ICMP error about something sent earlier
		}
		remote, ok := addrPort(addr)
		if !ok {
			continue // a peer that Write could not answer
		}
		trains[0] = Train{Buf: c.buf[:n], SegmentSize: n, Remote: remote, Local: boundAddr(c.local), At: time.Now()}
		return 1, nil
	}
}

func (c *packetConn) Write(buf []byte, segment int, to netip.AddrPort, _ netip.Addr, _ uint8) error {
	addr := net.UDPAddrFromAddrPort(to)
	return eachSegment(buf, segment, func(datagram []byte) error {
		if _, err := c.inner.WriteTo(datagram, addr); err != nil {
			return sendError(len(datagram), to, classOf(err), err)
		}
		return nil
	})
}

func (c *packetConn) LocalAddr() netip.AddrPort { return c.local }

func (c *packetConn) MaxSegments() int { return 1 }

func (c *packetConn) SetReadDeadline(t time.Time) error { return c.inner.SetReadDeadline(t) }

func (c *packetConn) Close() error { return c.inner.Close() }

// eachSegment calls send with every datagram of a train until it fails.
func eachSegment(buf []byte, segment int, send func([]byte) error) error {
	if segment <= 0 || segment >= len(buf) {
		return send(buf)
	}
	for len(buf) > 0 {
		n := min(segment, len(buf))
		if err := send(buf[:n:n]); err != nil {
			return err
		}
		buf = buf[n:]
	}
	return nil
}

// boundAddr returns the address of a socket bound to one, else an invalid one.
func boundAddr(local netip.AddrPort) netip.Addr {
	if local.Addr().IsUnspecified() {
		return netip.Addr{}
	}
	return local.Addr()
}

func addrPort(addr net.Addr) (netip.AddrPort, bool) {
	var ap netip.AddrPort
	switch a := addr.(type) {
	case nil:
		return ap, false
	case interface{ AddrPort() netip.AddrPort }: // *net.UDPAddr is one
		ap = a.AddrPort()
	default:
		parsed, err := netip.ParseAddrPort(fmt.Sprint(a))
		if err != nil {
			return ap, false
		}
		ap = parsed
	}
	return unmap(ap), ap.IsValid()
}

func unmap(ap netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
