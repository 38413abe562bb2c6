package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed51309289/quiver/quic"
)

const maxLife = 6 * time.Second // of a connection that does not wait for its end

// life is one connection, as its client's script has it.
type life struct {
	id   uint64
	kind string      // of the scenario
	over atomic.Bool // the script has ended it; what happens to it now is right
	dead bool        // the script lets it end by idleness

	// settled: the server has completed the handshake. Until then a client must
	// stay where it is (RFC 9000 §9), and one that its network moves is lost.
	settled atomic.Bool
}

func (l *life) String() string {
	if l == nil {
		return "connection without a word"
	}
	return fmt.Sprintf("connection %d (%s)", l.id, l.kind)
}

// book holds the lives of the present crowd, for the servers.
type book struct {
	tls *tls.Config // of clients

	mu    sync.Mutex // guards lives
	lives map[uint64]*life
	last  uint64
}

func (b *book) enter(l *life) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last++
	l.id = b.last
	b.lives[l.id] = l
}

func (b *book) find(id uint64) *life {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.lives[id]
}

func (b *book) clear() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lives = make(map[uint64]*life)
}

// crowd keeps s.conns connections going for a time, and returns when the last
// one has ended at both sides.
func (s *soak) crowd(ctx context.Context, duration time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, duration)
	defer cancel()
	s.book.clear()
	defer s.book.clear()
	w := &weather{soak: s}
	if err := w.begin(rand.New(rand.NewPCG(s.seed, 0))); err != nil {
		return err
	}
	var people sync.WaitGroup
	for i := range s.conns {
		people.Go(func() {
			rng := rand.New(rand.NewPCG(s.seed, uint64(i)+1))
			pause(ctx, time.Duration(rng.Int64N(int64(time.Second)))) // not all at once
			for ctx.Err() == nil {
				s.live(w, rng)
			}
		})
	}
	err := w.renew(ctx, rand.New(rand.NewPCG(s.seed, 1<<32)))
	people.Wait()
	w.end()
	for _, srv := range s.servers {
		srv.conns.Wait()
	}
	return err
}

// pause waits, unless ctx ends first.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// live is one connection from its dial to its end.
func (s *soak) live(w *weather, rng *rand.Rand) {
	r := w.take(rng)
	defer w.release(r)
	l := &life{kind: r.kind, dead: rng.IntN(12) == 0}
	s.book.enter(l)
	c, err := s.dial(r, l, rng)
	if err != nil {
		return
	}
	s.made.Add(1)
	s.open.Add(1)
	defer s.open.Add(-1)
	v := &visitor{soak: s, life: l, conn: c, pushed: make(map[uint64]chan error)}
	v.spend(rng)
	s.end(v, rng)
	v.ears.Wait()
	s.ended("client", l, context.Cause(c.Context()))
}

// config draws what a client may configure.
func (l *life) config(rng *rand.Rand) *quic.Config {
	conf := &quic.Config{
		EnableDatagrams:                  true,
		EnableStreamResetPartialDelivery: rng.IntN(2) == 0,
		Congestion:                       []string{"cubic", "newreno", "bbr"}[rng.IntN(3)],
		DisableSpinBit:                   rng.IntN(4) == 0,
		DisableGrease:                    rng.IntN(4) == 0,
	}
	switch rng.IntN(4) {
	case 0:
		conf.Versions = []quic.Version{quic.Version2}
	case 1:
		conf.Versions = []quic.Version{quic.Version1}
	}
	if l.kind == rebinds {
		conf.KeepAlivePeriod = time.Second // a client that only reads does not hear of its new address
	}
	if l.dead {
		conf.MaxIdleTimeout, conf.KeepAlivePeriod = 2*time.Second, 0
	}
	return conf
}

// dial makes a connection, on a shared socket or one of its own, and gives up at
// times. The error is told already.
func (s *soak) dial(r *relay, l *life, rng *rand.Rand) (c *quic.Conn, err error) {
	ctx, cancel := context.Background(), context.CancelFunc(func() {})
	impatient := rng.IntN(10) == 0
	if impatient {
		ctx, cancel = context.WithTimeout(ctx, time.Duration(rng.IntN(100))*time.Millisecond)
	}
	defer cancel()
	conf, early := l.config(rng), rng.IntN(2) == 0
	switch t := r.transports[rng.IntN(socketsPerRelay)]; {
	case rng.IntN(3) == 0 && early:
		c, err = quic.DialAddrEarly(ctx, r.front.String(), s.book.tls, conf)
	case rng.IntN(3) == 0:
		c, err = quic.DialAddr(ctx, r.front.String(), s.book.tls, conf)
	case early:
		c, err = t.DialEarly(ctx, r.front, s.book.tls, conf)
	default:
		c, err = t.Dial(ctx, r.front, s.book.tls, conf)
	}
	if err == nil {
		return c, nil
	}
	l.over.Store(true)
	switch {
	case impatient && errors.Is(err, context.DeadlineExceeded):
		s.count("dial given up")
	case l.lost(err):
		s.count("dial lost")
	default:
		s.fault("%v: dial: %v (%s)", l, err, r.scenario)
	}
	return nil, err
}

// end ends a connection in one of the ways that there are.
func (s *soak) end(v *visitor, rng *rand.Rand) {
	code := uint32(rng.IntN(1000))
	switch {
	case v.conn.Context().Err() != nil: // on its own
	case v.life.dead:
	case rng.IntN(3) == 0:
		v.try(hangUp, func() error { return v.askForTheEnd(code) })
	default:
		v.life.over.Store(true)
		v.conn.CloseWithError(uint64(code), "that was it")
	}
	select {
	case <-v.conn.Context().Done():
	case <-time.After(patience):
		s.fault("%v: still open a minute after its end", v.life)
		v.conn.CloseWithError(0, "")
	}
}

// lost reports whether the network is to blame for the end of a connection: it
// was dark, or moved the client in the middle of the handshake.
func (l *life) lost(cause error) bool {
	var transport *quic.TransportError
	var timeout net.Error
	switch {
	case l.kind == rebinds && !l.settled.Load() && errors.As(cause, &transport):
		return transport.Remote && transport.Code == invalidToken // of a Retry to another address
	case l.kind == goDarks, l.kind == rebinds && !l.settled.Load():
		return errors.As(cause, &timeout) && timeout.Timeout() || errors.As(cause, new(*quic.StatelessResetError))
	}
	return false
}

// Codes of RFC 9000 §20.1.
const (
	invalidToken     = 0xb
	applicationError = 0xc
)

// ended enters how a side of a connection ended, and a fault if the script does
// not explain it. A life of nil is a client that gave up before its first order.
func (s *soak) ended(side string, l *life, cause error) {
	kind, ok := judge(l, cause)
	s.count(side + " " + kind)
	if !ok {
		s.fault("%v: %s: ended by %v", l, side, cause)
	}
}

// judge names a cause, and decides whether it is one that the script explains.
func judge(l *life, cause error) (kind string, ok bool) {
	var (
		application *quic.ApplicationError
		transport   *quic.TransportError
		idle        *quic.IdleTimeoutError
		handshake   *quic.HandshakeTimeoutError
		reset       *quic.StatelessResetError
		path        *quic.NoViablePathError
	)
	over := l == nil || l.over.Load() || l.lost(cause)
	switch {
	case errors.As(cause, &application):
		return "closed", over
	case errors.As(cause, &idle):
		// Whoever does not hear of the end waits in vain.
		return "idle", over || l.dead
	case errors.As(cause, &reset):
		// Who counts on from its own last packet may be idle later than the other.
		return "reset", over || l.dead
	case errors.As(cause, &path):
		return "path lost", over
	case errors.As(cause, &handshake):
		return "handshake timeout", over
	case errors.As(cause, &transport):
		// RFC 9000 §10.2.3: how an application's close looks in a handshake.
		return transport.Code.String(), over && transport.Remote && (transport.Code == applicationError || transport.Code == invalidToken)
	case errors.Is(cause, net.ErrClosed):
		return "transport closed", false
	}
	return "other", false
}
