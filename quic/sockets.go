package quic

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"

	"github.com/seed51309289/quiver/internal/udp"
)

// socket is one of a Transport's sockets, with a goroutine that reads it.
type socket struct {
	t      *Transport
	index  int // in the Transport's list, and in the core's paths
	conn   udp.Conn
	addr   net.Addr
	owner  *Conn // it closes with this connection, or before; nil = with the Transport
	closed bool  // on purpose: an error of Read means nothing. Guarded by the Transport's lock
}

// newSocket takes a socket over; it is read from listen on.
func newSocket(t *Transport, pc net.PacketConn) (*socket, error) {
	s := &socket{t: t, addr: pc.LocalAddr()}
	if c, ok := pc.(*net.UDPConn); ok {
		fast, err := udp.New(c, udp.Config{Unreachable: s.unreachable})
		if err != nil {
			return nil, fmt.Errorf("quic: %w", err)
		}
		s.conn = fast
		logBuffers(fast)
	} else {
		s.conn = udp.Wrap(pc)
	}
	return s, nil
}

// local is the one address that the socket is bound to, if it is.
func (s *socket) local() netip.Addr {
	if a := s.conn.LocalAddr().Addr(); !a.IsUnspecified() {
		return a
	}
	return netip.Addr{}
}

// maxSockets bounds Config.Sockets.
const maxSockets = 256

// listenShared listens on several sockets that share an address.
func listenShared(addr string, tlsConfig *tls.Config, conf *Config) (*Listener, error) {
	if err := conf.Validate(); err != nil {
		return nil, err
	}
	socks, err := shareAddress(addr, conf.Sockets)
	if err != nil {
		return nil, fmt.Errorf("quic: listen %s: %w", addr, err)
	}
	// All sockets first: the system spreads clients over those that there are.
	t := &Transport{Conn: socks[0], steering: steer(socks)}
	for i, sock := range socks[1:] {
		if err := t.AddConn(sock); err != nil {
			closeAll(socks[i+2:])
			t.Close()
			return nil, err
		}
	}
	l, err := t.Listen(tlsConfig, conf)
	if err != nil {
		t.Close()
		return nil, err
	}
	l.owns = true
	return l, nil
}

// shareAddress opens n sockets on one address, at one port also if addr leaves
// that to the system.
func shareAddress(addr string, n int) ([]net.PacketConn, error) {
	lc := net.ListenConfig{Control: udp.ReusePort}
	var socks []net.PacketConn
	for range n {
		sock, err := lc.ListenPacket(context.Background(), "udp", addr)
		if err != nil {
			closeAll(socks)
			return nil, err
		}
		socks = append(socks, sock)
		addr = sock.LocalAddr().String()
	}
	return socks, nil
}

// steer lets the system find the socket of a connection by its IDs, so that one
// goroutine reads what belongs to it even when the client's address changes. nil
// = the system refuses, and goes by the addresses alone.
func steer(socks []net.PacketConn) *udp.Steering {
	var key [8]byte
	rand.Read(key[:])
	s := udp.NewSteering(key, len(socks))
	if err := s.Attach(socks[0].(*net.UDPConn)); err != nil {
		slog.Debug("quic: sockets are chosen by the addresses of datagrams alone", "err", err)
		return nil
	}
	return s
}

func closeAll(socks []net.PacketConn) {
	for _, s := range socks {
		s.Close()
	}
}

// AddConn lets the Transport run its connections over a further socket, which
// it owns from then on, also if there is an error. What arrives there reaches
// the same connections and the same Listener. A server needs it for a
// Config.PreferredAddress at which the first socket does not hear. The error is
// net.ErrClosed after Close.
func (t *Transport) AddConn(pc net.PacketConn) error {
	if err := t.init(); err != nil {
		pc.Close()
		return err
	}
	_, err := t.listen(pc, nil)
	return err
}

// listen adds a socket and begins to read it.
func (t *Transport) listen(pc net.PacketConn, owner *Conn) (*socket, error) {
	s, err := newSocket(t, pc)
	if err != nil {
		pc.Close()
		return nil, err
	}
	s.owner = owner
	t.mu.Lock()
	if t.refuses != nil {
		err := t.refuses
		t.mu.Unlock()
		s.conn.Close()
		return nil, fmt.Errorf("quic: add socket: %w", err)
	}
	t.addLocked(s)
	t.mu.Unlock()
	return s, nil
}

// addLocked puts s in the list, which whoever sends reads without a lock: it is
// replaced as a whole.
func (t *Transport) addLocked(s *socket) {
	var list []*socket
	if old := t.sockets.Load(); old != nil {
		list = slices.Clone(*old)
	}
	if s.index = slices.Index(list, nil); s.index < 0 {
		s.index = len(list)
		list = append(list, nil)
	}
	list[s.index] = s
	t.sockets.Store(&list)
	t.readers.Add(1)
	go s.readLoop()
}

// socket returns the one with an index, nil if it is closed.
func (t *Transport) socket(i int) *socket {
	list := *t.sockets.Load()
	if i >= len(list) {
		return nil
	}
	return list[i]
}

// socketAddr returns the address of a socket, or of the first one.
func (t *Transport) socketAddr(i int) net.Addr {
	if s := t.socket(i); s != nil {
		return s.addr
	}
	return t.LocalAddr()
}

// closeSocket closes one of several sockets.
func (t *Transport) closeSocket(s *socket) {
	t.mu.Lock()
	if s.closed {
		t.mu.Unlock()
		return
	}
	s.closed = true
	list := slices.Clone(*t.sockets.Load())
	list[s.index] = nil
	t.sockets.Store(&list)
	t.mu.Unlock()
	s.conn.Close()
}

// closeSockets closes all of them, and returns when nobody reads any more.
func (t *Transport) closeSockets() error {
	var errs []error
	for _, s := range *t.sockets.Load() {
		if s != nil {
			errs = append(errs, s.conn.Close())
		}
	}
	t.readers.Wait()
	return errors.Join(errs...)
}

// release closes a socket that c uses no longer, unless others may.
func (t *Transport) release(c *Conn, i int) {
	if s := t.socket(i); s != nil && (s.owner == c || t.single) {
		go t.closeSocket(s) // not here: the caller holds the connection's lock
	}
}

// releaseAll closes the sockets that c opened.
func (t *Transport) releaseAll(c *Conn) {
	for i, s := range *t.sockets.Load() {
		if s != nil && s.owner == c {
			t.release(c, i)
		}
	}
}

// write sends a batch on the socket of its path. A socket that is closed by now
// loses it, as a network does.
func (t *Transport) write(i int, buf []byte, segment int, to netip.AddrPort, from netip.Addr, ecn uint8) error {
	s := t.socket(i)
	if s == nil {
		return nil
	}
	return s.conn.Write(buf, segment, to, from, ecn)
}
