package policy

import (
	"container/list"
	"net/netip"
	"sync"
	"time"
)

// maxRemembered bounds what a Memory holds.
const maxRemembered = 4096 // limit: outcomes in a Memory

// Outcome is what is known of a peer under [Auto].
type Outcome uint8

// What may be known. The zero value is nothing.
const (
	Unknown   Outcome = iota
	QUICWorks         // the peer has answered
	QUICFails         // silence, ICMP or a peer without our protocol
)

var outcomes = []string{"unknown", "quic", "tcp"}

// String returns "unknown", or over what the peer is reached, "quic" or "tcp".
func (o Outcome) String() string { return outcomes[o] }

// A Memory holds the outcomes of [Auto], by [Decision.Peer]. The zero value is empty. What was learned first goes first when it is full. It is
// safe for concurrent use.
type Memory struct {
	mu    sync.Mutex                       // guards all below
	peers map[netip.AddrPort]*list.Element // limit: maxRemembered
	order list.List                        // of remembered, oldest first
}

type remembered struct {
	peer    netip.AddrPort
	outcome Outcome
	until   time.Time
}

// Outcome returns what is known of peer at now.
func (m *Memory) Outcome(peer netip.AddrPort, now time.Time) Outcome {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.peers[peer]
	if e == nil {
		return Unknown
	}
	r := e.Value.(*remembered)
	if !now.Before(r.until) {
		m.forget(e)
		return Unknown
	}
	return r.outcome
}

// Learn notes an outcome for as long as remember, that is [Decision.Remember], in place of what was known. Unknown forgets, and so does a
// remember that is not positive: right when what was remembered turned out wrong.
func (m *Memory) Learn(peer netip.AddrPort, o Outcome, now time.Time, remember time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e := m.peers[peer]; e != nil {
		m.forget(e)
	}
	if o == Unknown || remember <= 0 {
		return
	}
	if m.order.Len() == maxRemembered {
		m.forget(m.order.Front())
	}
	if m.peers == nil {
		m.peers = map[netip.AddrPort]*list.Element{}
	}
	m.peers[peer] = m.order.PushBack(&remembered{peer, o, now.Add(remember)})
}

func (m *Memory) forget(e *list.Element) {
	delete(m.peers, e.Value.(*remembered).peer)
	m.order.Remove(e)
}

// Len returns how many outcomes are held, those included whose time is over and that nobody has asked for since.
func (m *Memory) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.order.Len()
}

// A Race is in which order a connection tries its ways.
type Race struct {
	QUIC     bool          // QUIC is tried, at once
	TCP      bool          // TCP is tried
	TCPAfter time.Duration // TCP starts after this time, or when QUIC has failed if that is sooner; negative: only then
}

// Race returns the order for one connection, given what is remembered of d.Peer. A peer that answered before gets no rival, so that a slow
// moment does not put a connection in the clear; who is known not to answer is not asked.
func (d *Decision) Race(known Outcome) Race {
	switch {
	case d.Via == QUIC:
		return Race{QUIC: true}
	case d.Via == TCP, d.Via == Auto && known == QUICFails:
		return Race{TCP: true}
	case d.Via == Auto && known == QUICWorks:
		return Race{QUIC: true, TCP: true, TCPAfter: -1}
	case d.Via == Auto:
		return Race{QUIC: true, TCP: true, TCPAfter: d.HeadStart}
	}
	return Race{}
}
