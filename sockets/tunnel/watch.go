package tunnel

import (
	"context"
	"sync/atomic"
	"time"
)

// A pump's direction can wait for one side only. While the other side is so
// slow that it waits for longer than watchEvery, somebody else looks whether
// that side was reset meanwhile, as TCP would at once.
const watchEvery = time.Second

// turn tells whether a direction of a pump waits for the side that takes bytes.
// It is odd while it does; each turn has numbers of its own.
type turn struct {
	n    atomic.Uint32
	seen uint32 // of who looks
}

// begin notes that bytes are given to the side that takes them.
func (t *turn) begin(s *Stream) {
	if t.n.Load()&1 == 0 {
		t.n.Add(1)
		s.link.set.watch()
	}
}

// end notes that it took them.
func (t *turn) end() {
	if t.n.Load()&1 == 1 {
		t.n.Add(1)
	}
}

// stuck reports whether the direction waits, and whether it did so all the time
// since the last call.
func (t *turn) stuck() (waits, long bool) {
	now := t.n.Load()
	waits, long = now&1 == 1, now&1 == 1 && now == t.seen
	t.seen = now
	return waits, long
}

// pumping notes by whom a stream is pumped; nil = nobody.
func (set *links) pumping(s *Stream, p *pump) {
	set.mu.Lock()
	defer set.mu.Unlock()
	s.pump = p
}

// watch lets somebody look in a while.
func (set *links) watch() {
	if !set.watching.Load() && set.watching.CompareAndSwap(false, true) {
		time.AfterFunc(watchEvery, set.look)
	}
}

// look finds pumps that wait for one side and ends those whose other side was
// reset.
func (set *links) look() {
	set.watching.Store(false)
	var waiting []*pump
	again := false
	set.mu.Lock()
	for l := range set.all {
		for s := l.streams; s != nil; s = s.older {
			if s.pump == nil {
				continue
			}
			waits, long := s.pump.stuck()
			again = again || waits
			if long {
				waiting = append(waiting, s.pump)
			}
		}
	}
	set.mu.Unlock()
	for _, p := range waiting {
		p.lookAround()
	}
	if again {
		set.watch()
	}
}

// stuck reports whether one of the directions waits for who takes its bytes, and
// whether for long. The caller holds the lock of the links.
func (p *pump) stuck() (waits, long bool) {
	waits, long = p.to.turn.stuck()
	if p.src != nil {
		w, l := p.src.turn.stuck()
		waits, long = waits || w, long || l
	}
	return waits, long
}

// lookAround ends the pump if one side was reset while the pump waits for the
// other.
func (p *pump) lookAround() {
	p.mu.Lock()
	reset := p.legErr
	p.mu.Unlock()
	if reset != nil {
		p.failNow(ResetByLeg, reset)
		return
	}
	if p.src != nil {
		if err := p.src.reset(); err != nil {
			p.failNow(ResetByLeg, err)
			return
		}
	}
	if err := p.s.qs.Load().PeerReset(); err != nil {
		p.failNow(ResetByPeer, err)
	}
}

func isReset(err error) bool {
	_, ok := stopped(err)
	return ok
}

// watchHalf learns of the end of what the program may write, once all of the
// peer is delivered: nobody else would notice a reset, or that the connection is
// lost, before the program writes again.
func (p *pump) watchHalf() {
	over := p.s.Context()
	context.AfterFunc(over, func() {
		switch err := context.Cause(over); {
		case isReset(err):
			p.peerStopped(err)
		case p.s.link.conn.Context().Err() != nil:
			p.mu.Lock()
			finished := p.upOver
			p.mu.Unlock()
			if !finished {
				p.fail(PeerLost, err)
			}
		}
	})
}
