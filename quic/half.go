package quic

import (
	"context"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/seed51309289/quiver/internal/core"
)

// half is what the two directions of a stream have in common.
type half struct {
	c       *Conn
	s       *core.Stream
	changed sync.Cond // of c.mu: there is something to read, or room to write, or an end
	bounds  *bounds   // guarded by c.mu; nil = never asked for
	unread  bool      // guarded by c.mu: something arrived, and nobody has looked; counted by c
}

// bounds says how long calls of a direction may wait, and tells the end of it.
// Most streams need none, so it has no place in them.
type bounds struct {
	deadline deadline
	ctx      context.Context // calls wait no longer than it; nil = any time
	unwatch  func() bool
	over     context.Context // done when the direction has ended; nil = never asked for
	end      context.CancelCauseFunc
}

// streamID returns the ID (RFC 9000 §2.1).
func (h *half) streamID() StreamID { return h.s.ID() }

func (h *half) bound() *bounds {
	if h.bounds == nil {
		h.bounds = new(bounds)
	}
	return h.bounds
}

// expired returns why calls must not wait, or nil. The caller holds c.mu.
func (h *half) expired() error {
	b := h.bounds
	switch {
	case b == nil:
		return nil
	case b.deadline.expired:
		return os.ErrDeadlineExceeded
	case b.ctx != nil && b.ctx.Err() != nil:
		return ctxErr(b.ctx)
	}
	return nil
}

func (h *half) setDeadline(t time.Time) {
	h.c.mu.Lock()
	defer h.c.mu.Unlock()
	if h.bounds == nil && t.IsZero() {
		return
	}
	h.bound().deadline.set(&h.c.mu, &h.changed, t)
}

// setContext bounds calls by ctx; nil, or one that is never done, does not.
func (h *half) setContext(ctx context.Context) {
	h.c.mu.Lock()
	defer h.c.mu.Unlock()
	h.release(false)
	if ctx == nil || ctx.Done() == nil {
		return
	}
	b := h.bound()
	b.ctx = ctx
	b.unwatch = context.AfterFunc(ctx, func() {
		h.c.mu.Lock()
		defer h.c.mu.Unlock()
		h.changed.Broadcast()
	})
	h.changed.Broadcast() // ctx may be done already
}

// release takes the context away, and the deadline if asked, so that nothing
// holds the stream. The caller holds c.mu.
func (h *half) release(deadline bool) {
	b := h.bounds
	if b == nil {
		return
	}
	if b.unwatch != nil {
		b.unwatch()
	}
	b.ctx, b.unwatch = nil, nil
	if deadline {
		b.deadline.stop()
	}
}

// context returns a context that is done when ended gives an error.
func (h *half) context(ended func() error) context.Context {
	h.c.mu.Lock()
	defer h.c.mu.Unlock()
	b := h.bound()
	if b.over == nil {
		b.over, b.end = context.WithCancelCause(h.c.contextLocked())
		h.tell(ended())
	}
	return b.over
}

// tell wakes who waits for the direction, and ends its context if err, from the
// core, is not nil. The caller holds c.mu.
func (h *half) tell(err error) {
	h.changed.Broadcast()
	if err == nil || h.bounds == nil {
		return
	}
	if t := h.bounds.deadline.timer; t != nil {
		t.Stop() // nobody will wait again, and it keeps the connection in memory
	}
	if h.bounds.end != nil {
		h.bounds.end(h.publicError(err))
	}
}

// publicError is publicError but for the errors that every stream meets, and
// for the connection's, which is the same for everybody. The caller holds c.mu.
func (h *half) publicError(err error) error {
	switch err {
	case nil, io.EOF, os.ErrDeadlineExceeded:
		return err
	}
	if _, ok := err.(*core.StreamError); !ok && err != core.ErrFinished && h.c.closeErr != nil {
		return h.c.closeErr
	}
	return publicError(err)
}

// ctxErr is why ctx is done: its error, and its cause if that is another one.
func ctxErr(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if cause == err {
		return err
	}
	return &contextError{err, cause}
}

// contextError is the cause of a context, and its context.Canceled or
// context.DeadlineExceeded.
type contextError struct{ err, cause error }

var _ net.Error = (*contextError)(nil)

func (e *contextError) Error() string   { return e.cause.Error() }
func (e *contextError) Unwrap() []error { return []error{e.cause, e.err} }
func (e *contextError) Timeout() bool   { return e.err == context.DeadlineExceeded }
func (e *contextError) Temporary() bool { return e.Timeout() }

// deadline wakes a waiter when its time has come. The connection's lock guards it.
type deadline struct {
	at      time.Time // zero = none
	expired bool
	timer   *time.Timer // nil = never needed
}

func (d *deadline) set(mu *sync.Mutex, cond *sync.Cond, at time.Time) {
	d.stop()
	d.at = at
	if at.IsZero() {
		return
	}
	left := time.Until(at)
	switch {
	case left <= 0:
		d.expired = true
		cond.Broadcast()
	case d.timer == nil:
		d.timer = time.AfterFunc(left, func() { d.expire(mu, cond) })
	default:
		d.timer.Reset(left)
	}
}

// expire is the timer's function. It may come late, after set or stop; then at
// tells.
func (d *deadline) expire(mu *sync.Mutex, cond *sync.Cond) {
	mu.Lock()
	defer mu.Unlock()
	if d.at.IsZero() || d.expired {
		return
	}
	if left := time.Until(d.at); left > 0 {
		d.timer.Reset(left)
		return
	}
	d.expired = true
	cond.Broadcast()
}

// stop takes the deadline away.
func (d *deadline) stop() {
	d.at, d.expired = time.Time{}, false
	if d.timer != nil {
		d.timer.Stop()
	}
}
