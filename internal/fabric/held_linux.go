package fabric

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"
)

// A Held is a connection that the program wants: its connect waits until one of the methods is called, once.
type Held struct {
	App  netip.AddrPort // the program's end
	Dest netip.AddrPort // what it connects to
	Mark uint32         // 0 or MarkProto

	fabric *Fabric
	syn    syn
}

// Reason says why there is no connection.
type Reason uint8

// What a program can be told. Its connect fails with ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, or ETIMEDOUT when its patience ends.
const (
	Refused Reason = iota
	HostUnreachable
	NetUnreachable
	TimedOut
)

var reasons = []string{"refused", "host unreachable", "network unreachable", "timed out"}

// String names it.
func (r Reason) String() string { return reasons[r] }

// Connect lets the program's connect succeed, and returns the other end of its connection: a socket at Dest. Both sides send SYN (RFC 9293
// §3.5, simultaneous open). The error is that of a program that has gone: ECONNREFUSED.
func (h *Held) Connect() (*net.TCPConn, error) {
	defer h.done()
	return h.fabric.connect(context.Background(), h.Dest, h.App)
}

// Refuse lets the program's connect fail. After TimedOut the program waits, as it would, and its next SYN is held anew.
func (h *Held) Refuse(r Reason) error {
	defer h.done()
	switch r {
	case TimedOut:
		return nil
	case HostUnreachable:
		return h.fabric.raw.icmp(&h.syn, 1, 3) // host; address
	case NetUnreachable:
		return h.fabric.raw.icmp(&h.syn, 0, 0) // network; no route
	}
	return h.fabric.raw.tcp(&h.syn, h.syn.reset())
}

// Native puts the SYN back on its way: the program connects to a listener of its own.
func (h *Held) Native() error {
	defer h.done()
	return h.fabric.raw.again(&h.syn)
}

// done forgets the SYN, so that the same one is heard again.
func (h *Held) done() { h.fabric.pending.remove(h.syn.key()) }

// A synKey tells a SYN from all others but those that are sent again.
type synKey struct {
	app, dest netip.AddrPort
	seq       uint32
}

func (s *syn) key() synKey { return synKey{s.app, s.dest, s.seq} }

// pending are the SYNs that wait for an answer.
type pending struct {
	mu   sync.Mutex
	keys map[synKey]time.Time // limit: maxPending
}

// maxPending is how many connects of the program wait at once. limit: those beyond are not heard until some have their answer.
const maxPending = 65536

// add reports whether a SYN is new.
func (p *pending) add(k synKey) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.keys == nil {
		p.keys = map[synKey]time.Time{}
	}
	if _, known := p.keys[k]; known || len(p.keys) >= maxPending {
		return false
	}
	p.keys[k] = time.Time{}
	return true
}

func (p *pending) remove(k synKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.keys, k)
}
