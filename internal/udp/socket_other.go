//go:build !linux || udpportable

package udp

import (
	"fmt"
	"net"
	"net/netip"
	"time"
)

// Socket is the portable Conn: one datagram a system call, without allocation, ECN or destination addresses.
type Socket struct {
	conn  *net.UDPConn
	local netip.AddrPort
	stats Stats
	buf   []byte // what Read returns trains of
}

// New makes a Socket of c, which it then owns. It fails if the system has a way to forbid fragmentation and refuses.
func New(c *net.UDPConn, cfg Config) (*Socket, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("udp: %w", err)
	}
	if err := forbidFragments(raw); err != nil {
		return nil, fmt.Errorf("udp: forbid fragmentation on %v: %w", c.LocalAddr(), err)
	}
	s := &Socket{conn: c, buf: make([]byte, readBuffer)}
	s.local, _ = addrPort(c.LocalAddr())
	// A refusal leaves the system's own size, with which everything works, if slower.
	if want := wantBuffer(cfg.ReceiveBuffer); want > 0 && c.SetReadBuffer(want) == nil {
		s.stats.ReceiveBuffer = want
	}
	if want := wantBuffer(cfg.SendBuffer); want > 0 && c.SetWriteBuffer(want) == nil {
		s.stats.SendBuffer = want
	}
	return s, nil
}

// Read implements Conn.
func (s *Socket) Read(trains []Train) (int, error) {
	if len(trains) == 0 {
		return 0, nil
	}
	for soft := 0; ; {
		n, _, _, remote, err := s.conn.ReadMsgUDPAddrPort(s.buf, nil)
		if err != nil {
			if soft++; classOf(err) == nil || soft == maxSoftErrors {
				return 0, err
			}
			continue // an ICMP error about something sent earlier
		}
		trains[0] = Train{Buf: s.buf[:n], SegmentSize: n, Remote: unmap(remote), Local: boundAddr(s.local), At: time.Now()}
		return 1, nil
	}
}

// Write implements Conn.
func (s *Socket) Write(buf []byte, segment int, to netip.AddrPort, _ netip.Addr, _ uint8) error {
	return eachSegment(buf, segment, func(datagram []byte) error {
		if _, _, err := s.conn.WriteMsgUDPAddrPort(datagram, nil, to); err != nil {
			return sendError(len(datagram), to, classOf(err), err)
		}
		return nil
	})
}

// LocalAddr implements Conn.
func (s *Socket) LocalAddr() netip.AddrPort { return s.local }

// MaxSegments implements Conn.
func (s *Socket) MaxSegments() int { return 1 }

// SetReadDeadline implements Conn.
func (s *Socket) SetReadDeadline(t time.Time) error { return s.conn.SetReadDeadline(t) }

// Close implements Conn.
func (s *Socket) Close() error { return s.conn.Close() }

// Stats returns what the socket got. Any goroutine may call it.
func (s *Socket) Stats() Stats { return s.stats }
