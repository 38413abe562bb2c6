package quic

import (
	"context"
	"errors"
)

// ErrStreamLimit says that the peer does not allow another stream now.
var ErrStreamLimit = errors.New("quic: the peer does not allow another stream yet")

func kind(uni bool) int {
	if uni {
		return 1
	}
	return 0
}

// OpenStream opens a bidirectional stream. It never waits: while the peer does
// not allow another one, the error is ErrStreamLimit (RFC 9000 §4.6). The peer
// learns of the stream with its first bytes.
func (c *Conn) OpenStream() (*Stream, error) { return c.open(false) }

// OpenUniStream is OpenStream for a stream on which only this side sends.
func (c *Conn) OpenUniStream() (*SendStream, error) { return sending(c.open(true)) }

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
	w := c.wrap(s)
	c.watchLeak(w, "opened")
	return w, nil
}

// OpenStreamSync opens a bidirectional stream, and waits while the peer does
// not allow one. When ctx is done first, the error is ctx's; when the connection
// has ended, the reason.
func (c *Conn) OpenStreamSync(ctx context.Context) (*Stream, error) { return c.openSync(ctx, false) }

// OpenUniStreamSync is OpenStreamSync for a stream on which only this side
// sends.
func (c *Conn) OpenUniStreamSync(ctx context.Context) (*SendStream, error) {
	return sending(c.openSync(ctx, true))
}

func (c *Conn) openSync(ctx context.Context, uni bool) (s *Stream, err error) {
	err = c.await(ctx, &c.change[kind(uni)], func() bool {
		s, err = c.openLocked(uni)
		return !errors.Is(err, ErrStreamLimit)
	}, &err)
	return s, err
}

func sending(s *Stream, err error) (*SendStream, error) {
	if err != nil {
		return nil, err
	}
	return &s.SendStream, nil
}

// AcceptStream waits for the next bidirectional stream of the peer. When ctx is
// done first, the error is ctx's; when the connection has ended, and all its
// streams are accepted, the reason.
func (c *Conn) AcceptStream(ctx context.Context) (*Stream, error) { return c.accept(ctx, false) }

// AcceptUniStream is AcceptStream for a stream on which only the peer sends.
func (c *Conn) AcceptUniStream(ctx context.Context) (*ReceiveStream, error) {
	s, err := c.accept(ctx, true)
	if err != nil {
		return nil, err
	}
	return &s.ReceiveStream, nil
}

func (c *Conn) accept(ctx context.Context, uni bool) (s *Stream, err error) {
	queue := &c.accepted[kind(uni)]
	err = c.await(ctx, &c.change[kind(uni)], func() bool {
		if queue.len() > 0 {
			s = queue.pop()
			c.watchLeak(s, "accepted")
			return true
		}
		err = c.closeErr
		return err != nil
	}, &err)
	return s, err
}

// await waits on cond until done reports true, or ctx is done. *result is what
// done decided.
func (c *Conn) await(ctx context.Context, cond *cond, done func() bool, result *error) error {
	c.mu.Lock()
	if done() {
		c.mu.Unlock()
		return *result
	}
	if c.core.NeedsTransmit() {
		c.flushSoon()
		c.mu.Lock()
	}
	if ctx.Done() != nil {
		stop := context.AfterFunc(ctx, func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			cond.broadcast()
		})
		defer stop()
	}
	defer c.mu.Unlock()
	for !done() {
		if ctx.Err() != nil {
			return ctxErr(ctx)
		}
		cond.wait(&c.mu)
	}
	return *result
}
