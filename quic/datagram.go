package quic

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed51309289/quiver/internal/core"
)

// maxDatagramFrame is what EnableDatagrams announces: any frame that fits into
// a packet (RFC 9221 §3).
const maxDatagramFrame = 65535

// ErrNoDatagrams says that the peer takes no datagrams (RFC 9221 §3), or has
// not said yet that it does.
var ErrNoDatagrams = errors.New("quic: the peer takes no datagrams")

// A DatagramTooLargeError says that a datagram cannot be sent: it has to fit
// into one packet, and into what the peer takes.
type DatagramTooLargeError struct {
	Size int // bytes of the datagram
	Max  int // bytes that would fit now; path MTU discovery and migration change it
}

func (e *DatagramTooLargeError) Error() string {
	return fmt.Sprintf("quic: datagram of %d bytes, want at most %d", e.Size, e.Max)
}

// SendDatagram sends a copy of p as one unreliable message (RFC 9221): it arrives
// whole or not at all, once, and in any order. It leaves as soon as congestion
// control allows; SendDatagram does not wait for that. Of more than 64 datagrams
// that wait the oldest is dropped, and counted in ConnectionStats.
//
// Messages that are too old are of less use than the newest: who would rather
// be slowed down uses SendDatagramWait. The error is ErrNoDatagrams, a
// *DatagramTooLargeError, or why the connection ended.
func (c *Conn) SendDatagram(p []byte) error {
	c.mu.Lock()
	if err := c.datagramError(c.core.SendDatagram(p)); err != nil {
		c.mu.Unlock()
		return err
	}
	c.flush(time.Now())
	return nil
}

// SendDatagramWait is SendDatagram, but it waits while 64 datagrams wait
// already, so that none is dropped for another. When ctx is done first, the
// error is ctx's.
func (c *Conn) SendDatagramWait(ctx context.Context, p []byte) (err error) {
	return c.await(ctx, &c.datagramRoom, func() bool {
		if c.closeErr == nil && !c.core.DatagramRoom() {
			return false
		}
		if err = c.datagramError(c.core.SendDatagram(p)); err == nil {
			c.flushLocked()
		}
		return true
	}, &err)
}

// ReceiveDatagram waits for the oldest datagram that arrived and was not
// received yet. The memory is the caller's. 256 datagrams, or 1 MiB, wait for
// it; then the oldest is dropped, and counted in ConnectionStats. When ctx is
// done first, the error is ctx's; when the connection has ended, and nothing is
// left, the reason. Config.EnableDatagrams must be set.
func (c *Conn) ReceiveDatagram(ctx context.Context) (p []byte, err error) {
	err = c.await(ctx, &c.datagramArrived, func() bool {
		var ok bool
		if p, ok = c.core.ReadDatagram(); ok {
			return true
		}
		err = c.closeErr
		return err != nil
	}, &err)
	return p, err
}

// datagramError is publicError for what SendDatagram of the core returns. The
// caller holds c.mu.
func (c *Conn) datagramError(err error) error {
	if err == nil {
		return nil
	}
	var large *core.DatagramTooLargeError
	switch {
	case c.closeErr != nil:
		return c.closeErr
	case errors.Is(err, core.ErrNoDatagrams):
		return ErrNoDatagrams
	case errors.As(err, &large):
		return &DatagramTooLargeError{Size: large.Size, Max: large.Max}
	}
	return publicError(err)
}
