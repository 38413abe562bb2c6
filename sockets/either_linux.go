package sockets

import (
	"context"
	"errors"
	"time"

	"github.com/seed51309289/quiver/internal/fabric"
	"github.com/seed51309289/quiver/sockets/identity"
	"github.com/seed51309289/quiver/sockets/policy"
	"github.com/seed51309289/quiver/sockets/tunnel"
)

// A reached is the outcome of one attempt.
type reached struct {
	far far
	err error
}

// overEither lets QUIC race against TCP, as what is known of the peer suggests, and remembers how QUIC fared. A peer that is not who it
// was is no reason to go in the clear.
func (s *supervisor) overEither(ctx context.Context, held *fabric.Held, d policy.Decision) (far, error) {
	race := d.Race(s.memory.Outcome(d.Peer, time.Now()))
	if !race.QUIC {
		return overTCP(ctx, held)
	}
	over := attempt(func() (far, error) {
		there, err := s.overQUIC(ctx, held, d)
		s.learn(d, err)
		return there, err
	})
	var start <-chan time.Time
	if race.TCPAfter >= 0 {
		start = time.After(race.TCPAfter)
	}
	select {
	case r := <-over:
		if r.err == nil || isAlarm(r.err) {
			return r.far, r.err
		}
		s.fallbacks.Add(1)
		return overTCP(ctx, held)
	case <-start:
	}
	return s.first(over, attempt(func() (far, error) { return overTCP(ctx, held) }))
}

// attempt runs f beside the caller.
func attempt(f func() (far, error)) <-chan reached {
	out := make(chan reached, 1)
	go func() {
		there, err := f()
		out <- reached{there, err}
	}()
	return out
}

// first returns the first of two attempts that succeeds, and drops the other. If none does, the error is that of TCP, which is what a
// program would have seen.
func (s *supervisor) first(quic, tcp <-chan reached) (far, error) {
	var failed error
	for range 2 {
		select {
		case r := <-quic:
			if r.err == nil || isAlarm(r.err) {
				go dropLate(tcp)
				return r.far, r.err
			}
			quic = nil
		case r := <-tcp:
			if r.err == nil {
				s.fallbacks.Add(1)
				go dropLate(quic)
				return r.far, nil
			}
			tcp, failed = nil, r.err
		}
	}
	return nil, failed
}

// dropLate waits for the attempt that lost.
func dropLate(late <-chan reached) {
	if late == nil {
		return
	}
	if r := <-late; r.err == nil {
		r.far.drop()
	}
}

// learn remembers what came of QUIC to a peer. One that refuses a port speaks QUIC.
func (s *supervisor) learn(d policy.Decision, err error) {
	outcome := policy.QUICWorks
	if _, answered := errors.AsType[*tunnel.StatusError](err); err != nil && !answered {
		outcome = policy.QUICFails
	}
	if !errors.Is(err, context.Canceled) {
		s.memory.Learn(d.Peer, outcome, time.Now(), d.Remember)
	}
}

// isAlarm reports whether an error is about who the peer is.
func isAlarm(err error) bool {
	_, changed := errors.AsType[*identity.PinMismatchError](err)
	_, other := errors.AsType[*identity.WrongPeerError](err)
	return changed || other
}
