package quic

import (
	"context"
	"errors"
	"sync"

	"github.com/seed51309289/quiver/internal/core"
)

// ErrStreamLimit says that the peer does not allow another stream now.
var ErrStreamLimit = errors.New("quic: the peer does not allow another stream yet")

func kind(uni bool) int {
	if uni {
		return 1
	}
	return 0
}

// wrap returns the Stream of a core's stream, made when it is first met. The
// caller holds c.mu.
func (c *Conn) wrap(s *core.Stream) *Stream {
	if w, ok := s.User.(*Stream); ok {
		return w
	}
	w := &Stream{c: c, s: s}
	w.readable.L, w.writable.L = &c.mu, &c.mu
	s.User = w
	return w
}

// OpenStream opens a bidirectional stream, or returns ErrStreamLimit. The peer
// learns of it with its first bytes.
func (c *Conn) OpenStream() (*Stream, error) { return c.open(false) }

// OpenUniStream opens a stream on which only we send, or returns ErrStreamLimit.
func (c *Conn) OpenUniStream() (*Stream, error) { return c.open(true) }

func (c *Conn) open(uni bool) (*Stream, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.openLocked(uni)
}

func (c *Conn) openLocked(uni bool) (*Stream, error) {
	if c.closeErr != nil {
		return nil, c.closeErr
	}
	s, ok := c.core.Open(uni)
	if !ok {
		return nil, ErrStreamLimit
	}
	return c.wrap(s), nil
}

// OpenStreamSync opens a bidirectional stream, and waits while the peer does
// not allow one.
func (c *Conn) OpenStreamSync(ctx context.Context) (*Stream, error) { return c.openSync(ctx, false) }

// OpenUniStreamSync opens a stream on which only we send, and waits while the
// peer does not allow one.
func (c *Conn) OpenUniStreamSync(ctx context.Context) (*Stream, error) { return c.openSync(ctx, true) }

func (c *Conn) openSync(ctx context.Context, uni bool) (s *Stream, err error) {
	err = c.await(ctx, &c.change[kind(uni)], func() bool {
		s, err = c.openLocked(uni)
		return !errors.Is(err, ErrStreamLimit)
	}, &err)
	return s, err
}

// AcceptStream waits for the next bidirectional stream of the peer.
func (c *Conn) AcceptStream(ctx context.Context) (*Stream, error) { return c.accept(ctx, false) }

// AcceptUniStream waits for the next unidirectional stream of the peer.
func (c *Conn) AcceptUniStream(ctx context.Context) (*Stream, error) { return c.accept(ctx, true) }

func (c *Conn) accept(ctx context.Context, uni bool) (s *Stream, err error) {
	queue := &c.accepted[kind(uni)]
	err = c.await(ctx, &c.change[kind(uni)], func() bool {
		if queue.len() > 0 {
			s = queue.pop()
			return true
		}
		err = c.closeErr
		return err != nil
	}, &err)
	return s, err
}

// await waits on cond until done reports true, or ctx is done. *result is what
// done decided.
func (c *Conn) await(ctx context.Context, cond *sync.Cond, done func() bool, result *error) error {
	c.mu.Lock()
	if done() {
		c.mu.Unlock()
		return *result
	}
	if c.core.NeedsTransmit() {
		c.flushLocked()
	}
	if ctx.Done() != nil {
		stop := context.AfterFunc(ctx, func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			cond.Broadcast()
		})
		defer stop()
	}
	defer c.mu.Unlock()
	for !done() {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		cond.Wait()
	}
	return *result
}
