package netsim

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// Network joins any number of in-memory sockets of two sides by the link of a scenario. It runs on the time
// package alone, so in a testing/synctest bubble (in which it must be made) its time is the bubble's and costs
// nothing. Safe for concurrent use.
type Network struct {
	// Observe, if set before the first packet, learns the fate of each packet. It runs under the Network's lock
	// and must not call it or its Conns.
	Observe func(Event)

	mu    sync.Mutex // guards all below and the Conns
	sim   *Sim
	socks [2]map[netip.AddrPort]*Conn
	ports uint16      // last port given to a socket that asked for any
	timer *time.Timer // runs pump at armed
	armed time.Time
	spare [][]byte
	shut  bool
}

// Conn is a socket of a Network: a net.PacketConn whose addresses are *net.UDPAddr. Writes never block.
type Conn struct {
	net   *Network
	side  Side
	local netip.AddrPort

	readable *sync.Cond
	inbox    []Packet
	head     int // inbox[:head] is read already
	overflow int
	deadline time.Time
	alarm    *time.Timer // wakes readers at deadline
	closed   bool
}

var _ net.PacketConn = (*Conn)(nil)

const (
	maxInbox       = 4096 // datagrams that wait to be read; more are lost, as in a full socket buffer
	maxSockets     = 4096 // per side
	maxUDPPayload  = 65507
	firstEphemeral = 49152
)

// NewNetwork makes a network without sockets. The scenario starts with the first packet.
func NewNetwork(sc *Scenario, seed uint64) *Network {
	n := &Network{sim: NewSim(sc, seed)}
	n.sim.Observe = n.settle
	n.socks[Left], n.socks[Right] = make(map[netip.AddrPort]*Conn), make(map[netip.AddrPort]*Conn)
	return n
}

// Listen opens a socket on one side. An invalid address stands for the endpoint's IPv4 address of the test
// network, port 0 for any that is free. Behind a scenario's NAT only ClientV4 and ClientV6 reach the server.
func (n *Network) Listen(side Side, at netip.AddrPort) (*Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !at.Addr().IsValid() {
		at = netip.AddrPortFrom(networks[side].hosts[0], at.Port())
	}
	if n.shut {
		return nil, &net.OpError{Op: "listen", Net: "udp", Addr: net.UDPAddrFromAddrPort(at), Err: net.ErrClosed}
	}
	if len(n.socks[side]) >= maxSockets {
		return nil, fmt.Errorf("netsim: %d sockets on the %s side, no more fit", maxSockets, side)
	}
	for at.Port() == 0 { // ends: maxSockets is less than there are ports
		n.ports = max(n.ports+1, firstEphemeral)
		if try := netip.AddrPortFrom(at.Addr(), n.ports); n.socks[side][try] == nil {
			at = try
		}
	}
	if n.socks[side][at] != nil {
		return nil, fmt.Errorf("netsim: %s is in use on the %s side", at, side)
	}
	c := &Conn{net: n, side: side, local: at, readable: sync.NewCond(&n.mu)}
	n.socks[side][at] = c
	return c, nil
}

// Stats returns the counters so far.
func (n *Network) Stats() Stats {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.sim.Stats()
}

// Close closes all sockets; what is under way is lost. It always returns nil.
func (n *Network) Close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.shut = true
	for _, side := range n.socks {
		for _, c := range side {
			c.close()
		}
	}
	if n.timer != nil {
		n.timer.Stop()
	}
	return nil
}

// pump hands over what has arrived and sets the timer for what comes next. The lock is held.
func (n *Network) pump() {
	now := time.Now()
	for {
		to, p, ok := n.sim.Pop(now)
		if !ok {
			break
		}
		if c := n.socks[to][p.Dst]; c == nil || !c.put(p) {
			n.recycle(p.Data)
		}
	}
	next, ok := n.sim.Next()
	if !ok || n.shut || (next.Equal(n.armed) && now.Before(n.armed)) {
		return
	}
	n.armed = next
	if n.timer == nil {
		n.timer = time.AfterFunc(next.Sub(now), n.wake)
		return
	}
	n.timer.Reset(next.Sub(now))
}

func (n *Network) wake() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.pump()
}

func (n *Network) settle(e Event) {
	if n.Observe != nil {
		n.Observe(e)
	}
	if e.Dropped {
		n.recycle(e.Packet.Data)
	}
}

func (n *Network) buffer() []byte {
	last := len(n.spare) - 1
	if last < 0 {
		return make([]byte, 0, packetBuffer)
	}
	b := n.spare[last]
	n.spare = n.spare[:last]
	return b
}

func (n *Network) recycle(b []byte) {
	if cap(b) >= packetBuffer && len(n.spare) < maxSpareBufs {
		n.spare = append(n.spare, b[:0])
	}
}

// put appends a datagram for the readers, false if there is no room.
func (c *Conn) put(p Packet) bool {
	if len(c.inbox)-c.head >= maxInbox {
		c.overflow++
		return false
	}
	if c.head > maxInbox { // more is read than can be waiting
		c.inbox = append(c.inbox[:0], c.inbox[c.head:]...)
		c.head = 0
	}
	c.inbox = append(c.inbox, p)
	c.readable.Signal()
	return true
}

// ReadPacket waits for a datagram, copies it to b (what does not fit is lost) and returns its length, its
// sender and its ECN bits. The error is net.ErrClosed or os.ErrDeadlineExceeded inside a *net.OpError.
func (c *Conn) ReadPacket(b []byte) (n int, from netip.AddrPort, ecn uint8, err error) {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	for c.head == len(c.inbox) {
		if err := c.readError(); err != nil {
			return 0, netip.AddrPort{}, 0, &net.OpError{Op: "read", Net: "udp", Source: c.LocalAddr(), Err: err}
		}
		c.readable.Wait()
	}
	if err := c.readError(); err != nil {
		return 0, netip.AddrPort{}, 0, &net.OpError{Op: "read", Net: "udp", Source: c.LocalAddr(), Err: err}
	}
	p := c.inbox[c.head]
	c.inbox[c.head] = Packet{}
	if c.head++; c.head == len(c.inbox) {
		c.inbox, c.head = c.inbox[:0], 0
	}
	n = copy(b, p.UDPPayload())
	c.net.recycle(p.Data)
	return n, p.Src, p.ECN, nil
}

// WritePacket sends a datagram with the given ECN bits (0..3). b may be reused at once.
func (c *Conn) WritePacket(b []byte, to netip.AddrPort, ecn uint8) error {
	n := c.net
	n.mu.Lock()
	defer n.mu.Unlock()
	var err error
	switch {
	case c.closed:
		err = net.ErrClosed
	case len(b) > maxUDPPayload:
		err = errors.New("message too long")
	}
	if err != nil {
		return &net.OpError{Op: "write", Net: "udp", Source: c.LocalAddr(), Addr: net.UDPAddrFromAddrPort(to), Err: err}
	}
	to = netip.AddrPortFrom(to.Addr().Unmap(), to.Port())
	p := Packet{Data: append(n.buffer(), b...), Src: c.local, Dst: to, ECN: ecn & 3, UDP: true}
	n.sim.Send(time.Now(), c.side, p)
	n.pump()
	return nil
}

// ReadFrom is ReadPacket for a net.PacketConn.
func (c *Conn) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, _, err := c.ReadPacket(b)
	if err != nil {
		return 0, nil, err
	}
	return n, net.UDPAddrFromAddrPort(from), nil
}

// WriteTo is WritePacket without ECN. to is a *net.UDPAddr.
func (c *Conn) WriteTo(b []byte, to net.Addr) (int, error) {
	addr, ok := to.(*net.UDPAddr)
	if !ok {
		return 0, &net.OpError{Op: "write", Net: "udp", Source: c.LocalAddr(), Addr: to, Err: errors.New("address is no *net.UDPAddr")}
	}
	if err := c.WritePacket(b, addr.AddrPort(), ecnNotECT); err != nil {
		return 0, err
	}
	return len(b), nil
}

// LocalAddr returns the socket's address, a *net.UDPAddr.
func (c *Conn) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(c.local) }

// Overflow returns how many datagrams were lost because nobody read the socket.
func (c *Conn) Overflow() int {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	return c.overflow
}

// Close ends all reads and writes with net.ErrClosed. A second Close returns it, too.
func (c *Conn) Close() error {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	if c.closed {
		return &net.OpError{Op: "close", Net: "udp", Source: c.LocalAddr(), Err: net.ErrClosed}
	}
	c.close()
	return nil
}

func (c *Conn) close() {
	c.closed = true
	delete(c.net.socks[c.side], c.local)
	if c.alarm != nil {
		c.alarm.Stop()
	}
	c.readable.Broadcast()
}

// SetDeadline is SetReadDeadline: writes do not block.
func (c *Conn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// SetWriteDeadline does nothing: writes do not block.
func (c *Conn) SetWriteDeadline(time.Time) error { return nil }

// SetReadDeadline makes reads fail from t on with os.ErrDeadlineExceeded; zero is never.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	c.deadline = t
	if c.alarm != nil {
		c.alarm.Stop()
		c.alarm = nil
	}
	if d := time.Until(t); !t.IsZero() && d > 0 {
		c.alarm = time.AfterFunc(d, c.wakeReaders)
	}
	c.readable.Broadcast()
	return nil
}

func (c *Conn) wakeReaders() {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	c.readable.Broadcast()
}

// readError returns why a read must not go on. The lock is held.
func (c *Conn) readError() error {
	if c.closed {
		return net.ErrClosed
	}
	if !c.deadline.IsZero() && !time.Now().Before(c.deadline) {
		return os.ErrDeadlineExceeded
	}
	return nil
}
