package sockets

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/seed51309289/quiver/quic"
	"github.com/seed51309289/quiver/sockets/control"
	"github.com/seed51309289/quiver/sockets/tunnel"
	"golang.org/x/sys/unix"
)

// limit: maxEndpoints is how many UDP ports a run opens: one, unless every listener has its own.
const maxEndpoints = 1024

// ports are the places at which the program's listeners are reached from outside.
type ports struct {
	s *supervisor

	mu        sync.Mutex                          // guards what follows
	endpoints map[uint16]*endpoint                // by the UDP port that was asked for; limit: maxEndpoints
	plain     map[netip.AddrPort]net.Listener     // over plain TCP; bounded by the program's listeners
	known     map[netip.AddrPort]control.Listener // limit: maxKnown
	closed    bool
}

// limit: maxKnown is how many listeners of the program we can tell others of.
const maxKnown = 4096

// An endpoint is a UDP port that takes connections.
type endpoint struct {
	transport *quic.Transport
	listener  *quic.Listener
	server    *tunnel.Server
	port      uint16 // which may not be the one that was asked for
}

func (p *ports) init(s *supervisor) {
	p.s = s
	p.endpoints = map[uint16]*endpoint{}
	p.plain = map[netip.AddrPort]net.Listener{}
	p.known = map[netip.AddrPort]control.Listener{}
}

// listen opens what the policy wants for a listener of the program at addr. What is open stays open when the listener ends, since the
// connections that it accepted go on; nobody is let in then, because nobody listens. The errors are those of bind.
func (p *ports) listen(addr netip.AddrPort, asked, only6 bool) error {
	d := p.s.conf.Policy.Listen(addr)
	if asked {
		d = p.s.conf.Policy.AskedListen(addr)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return unix.EADDRNOTAVAIL
	}
	l := control.Listener{TCP: addr, Rule: d.Rule}
	if d.QUIC {
		if err := p.openUDP(d.UDP); err != nil {
			return err
		}
		l.UDP, l.Via = p.endpoints[d.UDP].port, control.QUIC
		if _, again := p.known[addr]; l.UDP != d.UDP && !again && len(p.known) < maxKnown {
			go p.s.explainTwin(addr.Port())
		}
	}
	if d.TCP {
		if err := p.openTCP(addr, only6); err != nil {
			return err
		}
		l.Via = strings.TrimPrefix(l.Via+"+tcp", "+")
	}
	p.note(l)
	return nil
}

// note remembers a listener, for those who ask.
func (p *ports) note(l control.Listener) {
	if len(p.known) < maxKnown {
		p.known[l.TCP] = l
	}
}

// openUDP opens a UDP port, if it is not open. The one that a host has for all its programs may be taken by another run: then any other
// does, and that run tells whoever asks.
func (p *ports) openUDP(port uint16) error {
	if p.endpoints[port] != nil {
		return nil
	}
	if len(p.endpoints) >= maxEndpoints {
		return unix.EMFILE
	}
	shared, isShared := p.s.conf.Policy.UDPPort()
	sock, err := listenUDP(port)
	if errors.Is(err, unix.EADDRINUSE) && isShared && port == shared && !p.s.conf.UDPPortFixed {
		sock, err = listenUDP(0)
	}
	if err != nil {
		p.s.log.Warn(fmt.Sprintf("UDP port %d, at which listeners of this program are reached, cannot be had: %v; --udp-port chooses another one", port, unwrapSyscall(err)))
		return err
	}
	e, err := p.serve(sock)
	if err != nil {
		return err
	}
	p.endpoints[port] = e
	if e.port != port {
		go p.s.explainPort(port, e.port)
		go p.inherit(port)
	}
	return nil
}

// inheritPause is how often a run that has not got the port that all know looks whether it is free. Who had it told peers where we are, and
// may be killed without a word.
const inheritPause = 500 * time.Millisecond

// inherit takes a UDP port as soon as whoever has it is gone. The one that we had instead stays open, for those who are there.
func (p *ports) inherit(port uint16) {
	again := time.NewTicker(inheritPause)
	defer again.Stop()
	for {
		select {
		case <-p.s.ctx.Done():
			return
		case <-again.C:
		}
		if p.tryInherit(port) {
			return
		}
	}
}

// tryInherit reports whether there is nothing more to wait for.
func (p *ports) tryInherit(port uint16) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.endpoints) >= maxEndpoints {
		return true
	}
	sock, err := listenUDP(port)
	if err != nil {
		return false
	}
	e, err := p.serve(sock)
	if err != nil {
		return false
	}
	before := p.endpoints[port]
	p.endpoints[before.port], p.endpoints[port] = before, e
	for at, l := range p.known {
		if l.UDP == before.port {
			l.UDP = port
			p.known[at] = l
		}
	}
	p.s.log.Info("whoever had the UDP port is gone; it is ours now", "port", port, "before", before.port)
	return true
}

// listenUDP opens a UDP socket on all addresses of the host.
func listenUDP(port uint16) (*net.UDPConn, error) {
	sock, err := net.ListenUDP("udp", &net.UDPAddr{Port: int(port)})
	if errors.Is(err, unix.EAFNOSUPPORT) {
		return net.ListenUDP("udp4", &net.UDPAddr{Port: int(port)})
	}
	return sock, err
}

// serve takes connections on sock.
func (p *ports) serve(sock *net.UDPConn) (*endpoint, error) {
	e := &endpoint{server: &tunnel.Server{}, transport: &quic.Transport{Conn: sock, StatelessResetKey: p.s.listenKey(sock)}, port: sock.LocalAddr().(*net.UDPAddr).AddrPort().Port()}
	conf, err := p.s.id.Server()
	if err == nil {
		e.listener, err = e.transport.Listen(conf, e.server.Options.ListenConfig(p.s.quicConfig()))
	}
	if err != nil {
		e.transport.Close()
		return nil, err
	}
	go e.server.Serve(p.s.ctx, e.listener, p.s.incoming)
	return e, nil
}

// openTCP listens on the host for those who come over plain TCP.
func (p *ports) openTCP(addr netip.AddrPort, only6 bool) error {
	if p.plain[addr] != nil {
		return nil
	}
	network := "tcp"
	switch { // package net would take 0.0.0.0 for both families
	case addr.Addr().Is4():
		network = "tcp4"
	case only6:
		network = "tcp6"
	}
	l, err := net.ListenTCP(network, net.TCPAddrFromAddrPort(addr))
	if err != nil {
		return err
	}
	p.plain[addr] = l
	go p.acceptTCP(addr, l)
	return nil
}

// acceptPause is how long those wait who come over plain TCP while there are no descriptors for them.
const acceptPause = 50 * time.Millisecond

// acceptTCP brings those who come over plain TCP to the program's listener, until that has ended.
func (p *ports) acceptTCP(addr netip.AddrPort, l *net.TCPListener) {
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.plain, addr)
		l.Close()
	}()
	for {
		c, err := l.AcceptTCP()
		if p.s.shortage(err) {
			time.Sleep(acceptPause)
			continue
		}
		if err != nil {
			return
		}
		p.s.plainIncoming(c) // one after the other: programs tell connections by the order in which they come
	}
}

// where answers other runs of this host: at which UDP port connections to a TCP port of ours are taken.
func (p *ports) where(tcp uint16) (udp uint16, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for at, l := range p.known {
		if at.Port() == tcp && l.UDP != 0 {
			return l.UDP, true
		}
	}
	return 0, false
}

// listeners returns the listeners of the program.
func (p *ports) listeners() []control.Listener {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.SortedFunc(maps.Values(p.known), func(a, b control.Listener) int { return a.TCP.Compare(b.TCP) })
}

// addresses returns the UDP addresses at which we are reached.
func (p *ports) addresses() []netip.AddrPort {
	var out []netip.AddrPort
	for _, e := range p.all() {
		out = append(out, e.transport.LocalAddr().(*net.UDPAddr).AddrPort())
	}
	slices.SortFunc(out, netip.AddrPort.Compare)
	return out
}

// all returns the endpoints.
func (p *ports) all() []*endpoint {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]*endpoint, 0, len(p.endpoints))
	for _, e := range p.endpoints {
		out = append(out, e)
	}
	return out
}

// shutdown lets what was sent arrive.
func (p *ports) shutdown(ctx context.Context) {
	for _, e := range p.all() {
		e.server.Close(ctx)
	}
}

func (p *ports) close() {
	p.mu.Lock()
	p.closed = true
	for _, l := range p.plain {
		l.Close()
	}
	p.mu.Unlock()
	for _, e := range p.all() {
		e.transport.Close()
	}
}

// unwrapSyscall takes what the sentence around it says already off an error of package net.
func unwrapSyscall(err error) error {
	if errno, ok := errors.AsType[unix.Errno](err); ok {
		return errno
	}
	return err
}
