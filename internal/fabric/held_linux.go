package fabric

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

var errAnswered = errors.New("BUG: this connection has had its answer")

// Connect lets the program's connect succeed, and returns the other end of its connection: a socket at Dest. Both sides send SYN (RFC 9293
// §3.5, simultaneous open). The error is unix.ECONNREFUSED if the program has gone. It takes as long as the kernel of this host takes to
// answer, and never longer than legPatience.
func (h *Held) Connect() (*net.TCPConn, error) {
	if !h.fabric.pending.answer(time.Now(), h, nil) {
		return nil, h.late()
	}
	c, err := h.fabric.connect(context.Background(), h.Dest, h.App)
	if err != nil {
		return nil, fmt.Errorf("join %v, which connects to %v: %w", h.App, h.Dest, err)
	}
	h.fabric.stats.connected.Add(1)
	return c, nil
}

// Refuse lets the program's connect fail. After TimedOut the program waits, as it would, and its next SYN is held anew.
func (h *Held) Refuse(r Reason) error {
	packet := h.syn.refusal(r)
	if packet == nil {
		return h.release()
	}
	if !h.fabric.pending.answer(time.Now(), h, packet) {
		return h.late()
	}
	h.fabric.stats.refused.Add(1)
	return h.fabric.raw.send(packet, h.App.Addr())
}

// Native puts the SYN back on its way: the program connects to a listener of its own. If that has no room, the SYN comes again and is held
// again.
func (h *Held) Native() error {
	if err := h.release(); err != nil {
		return err
	}
	h.fabric.stats.native.Add(1)
	return h.fabric.raw.send(h.syn.packet(), h.Dest.Addr())
}

// release forgets the SYN, so that the same one is held again when it comes again.
func (h *Held) release() error {
	if !h.fabric.pending.take(h) {
		return h.late()
	}
	return nil
}

// late is the error of an answer that nobody waits for.
func (h *Held) late() error {
	select {
	case <-h.gone:
		return fmt.Errorf("the program at %v has given up: %w", h.App, unix.ECONNREFUSED)
	case <-h.fabric.closed:
		return net.ErrClosed
	default:
		return errAnswered
	}
}
