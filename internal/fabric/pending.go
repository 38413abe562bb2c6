package fabric

import (
	"net/netip"
	"sync"
	"time"
)

// A flow is both ends of a connection that the program wants.
type flow struct{ app, dest netip.AddrPort }

// pending are the connects of the program that wait for an answer, and for a while those that have one: the kernel sends a SYN again after
// a second, and one may be on its way to us when we answer.
type pending struct {
	mu       sync.Mutex
	waiting  map[flow]*Held     // limit: maxPending
	answered [2]map[flow]answer // the young and the old; limit: maxAnswered
	turned   time.Time          // when the young became the old
	swept    time.Time          // when those were looked for whose program has gone
}

// An answer is what a connect was told.
type answer struct {
	seq    uint32
	packet []byte // to be sent again; nil = nothing
}

const (
	// maxPending is how many connects of the program wait at once. limit: those beyond are not heard until some have their answer.
	maxPending = 65536

	// maxAnswered is how many answers are remembered, twice. limit: of a program that connects faster, SYNs that come again are new.
	maxAnswered = 8192

	answeredLife = 3 * time.Second   // of an answer, at least, if there are not too many
	waitingLife  = 300 * time.Second // without a SYN, after which a program has gone: twice tcp_rto_max_ms and more
	sweepPause   = 10 * time.Second
)

// maxHeld is how many SYNs wait for Next. limit: connections that a program makes faster than they are taken; those beyond are dropped,
// and come again after a second.
const maxHeld = 8192

// A verdict is what a SYN is.
type verdict uint8

const (
	fresh    verdict = iota // a connection that waits from now on
	repeated                // one that waits already
	told                    // one that has its answer
	tooMany
)

// hear takes a SYN. The packet goes back to who sent it.
func (p *pending) hear(now time.Time, h *Held) (verdict, []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	h.heard = now
	k := h.flow()
	if before := p.waiting[k]; before != nil {
		if before.syn.seq == h.syn.seq {
			before.heard = now
			return repeated, nil
		}
		close(before.gone) // the program has another socket there
		p.waiting[k] = h
		return fresh, nil
	}
	for _, m := range p.answered {
		if a, ok := m[k]; ok && a.seq == h.syn.seq {
			return told, a.packet
		}
	}
	if len(p.waiting) >= maxPending {
		p.sweep(now)
		if len(p.waiting) >= maxPending {
			return tooMany, nil
		}
	}
	if p.waiting == nil {
		p.waiting = map[flow]*Held{}
	}
	p.waiting[k] = h
	return fresh, nil
}

// sweep forgets connects that nobody answered and nobody waits for.
func (p *pending) sweep(now time.Time) {
	if now.Sub(p.swept) < sweepPause {
		return
	}
	p.swept = now
	for k, h := range p.waiting {
		if now.Sub(h.heard) > waitingLife {
			close(h.gone)
			delete(p.waiting, k)
		}
	}
}

// take ends the wait of h. It reports whether h did wait: a second answer changes nothing.
func (p *pending) take(h *Held) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting[h.flow()] != h {
		return false
	}
	delete(p.waiting, h.flow())
	return true
}

// answer ends the wait of h, and remembers what it was told.
func (p *pending) answer(now time.Time, h *Held, packet []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting[h.flow()] != h {
		return false
	}
	delete(p.waiting, h.flow())
	if p.answered[0] == nil || now.Sub(p.turned) > answeredLife || len(p.answered[0]) >= maxAnswered {
		p.answered = [2]map[flow]answer{{}, p.answered[0]}
		p.turned = now
	}
	p.answered[0][h.flow()] = answer{h.syn.seq, packet}
	return true
}

// forget is for a program that has closed its socket: whoever thinks about k need not.
func (p *pending) forget(h *Held) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting[h.flow()] == h {
		delete(p.waiting, h.flow())
		close(h.gone)
	}
}

// at returns what waits at k, or nil.
func (p *pending) at(k flow) *Held {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.waiting[k]
}

// all returns all that waits, and lets nothing wait any more.
func (p *pending) all() []*Held {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]*Held, 0, len(p.waiting))
	for _, h := range p.waiting {
		out = append(out, h)
	}
	clear(p.waiting)
	return out
}
