package core

import (
	"errors"
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/qlog"
	"github.com/seed51309289/quiver/internal/recovery"
	"github.com/seed51309289/quiver/internal/wire"
)

// maxReason bounds the reason phrase that we send, in bytes.
const maxReason = 256

type connState uint8

const (
	stateOpen     connState = iota
	stateClosing            // we closed: answer with CONNECTION_CLOSE (RFC 9000 §10.2.1)
	stateDraining           // the peer closed: silence (RFC 9000 §10.2.2)
	stateDrained            // forget everything
)

// closeState is how a connection ends.
type closeState struct {
	state    connState
	err      error // why; nil while open
	until    hook.Instant
	send     bool // CONNECTION_CLOSE is to be sent
	received int  // packets since we closed
	answerAt int  // the next one to answer
}

// Close ends the connection with an error code of the application (RFC 9000 §10.2).
func (c *Conn) Close(now Time, code uint64, reason string) {
	c.fail(c.at(now), &LocalError{CloseError: CloseError{App: true, Code: code, Reason: reason}})
}

// CloseTransport ends the connection with a transport error code.
func (c *Conn) CloseTransport(now Time, code Code, reason string) {
	c.fail(c.at(now), &LocalError{CloseError: CloseError{Code: uint64(code), Reason: reason}})
}

// Abandon forgets the connection without telling the peer. err is why.
func (c *Conn) Abandon(now Time, err error) {
	if c.closing.state == stateOpen {
		c.abandon(c.at(now), err)
	} else if c.closing.state != stateDrained {
		c.drained()
	}
}

// fail closes the connection: with CONNECTION_CLOSE for a *LocalError,
// silently for any other error.
func (c *Conn) fail(now hook.Instant, err error) {
	if c.closing.state != stateOpen {
		return
	}
	var local *LocalError
	if !errors.As(err, &local) {
		c.abandon(now, err)
		return
	}
	c.end(now, stateClosing, err, "local", &local.CloseError)
	c.closing.send, c.closing.answerAt = true, 1
}

// abandon forgets the connection without a word.
func (c *Conn) abandon(now hook.Instant, err error) {
	if c.closing.state == stateOpen {
		c.end(now, stateDrained, err, "local", nil)
		c.drained()
	}
}

// drained tells the driver to forget the connection and its IDs.
func (c *Conn) drained() {
	c.closing.state = stateDrained
	for i := range c.ids.local {
		c.events.push(Event{Kind: EventIDRetired, ID: c.ids.local[i].id})
	}
	for i := range c.ids.remote {
		c.tokenGone(&c.ids.remote[i])
	}
	c.events.push(Event{Kind: EventDrained})
}

// end leaves the open state. The state lasts three PTOs (RFC 9000 §10.2).
func (c *Conn) end(now hook.Instant, state connState, err error, owner string, e *CloseError) {
	if c.cfg.Budget != nil && c.closing.err == nil {
		c.cfg.Budget.Release(c.flow.held())
	}
	c.closing.state, c.closing.err = state, err
	c.tellState()
	c.endExtensions()
	c.closing.until = now.Add(3 * c.pto())
	entry := qlog.ConnectionClose{Owner: owner, Trigger: "error"}
	if e != nil {
		entry.App, entry.Code, entry.Reason = e.App, e.Code, e.Reason
	} else {
		entry.Reason = err.Error()
	}
	c.log.ConnectionClosed(now, entry)
	c.held = nil
	if c.tls.conn != nil {
		c.tls.conn.Close() // ends a handshake that is under way; there is nobody to tell of an error
	}
	for _, s := range c.streams.inOrder() {
		c.postReadable(s)
		c.postWritable(s)
	}
	c.events.push(Event{Kind: EventClosed, Err: err})
}

func (c *Conn) pto() time.Duration { return c.det.PTO(recovery.AppData) }

// handleClose takes a CONNECTION_CLOSE frame of an open connection (RFC 9000
// §19.19). A closing one does not look into packets any more (§10.2.1).
func (c *Conn) handleClose(now hook.Instant, f *wire.Frame) {
	e := CloseError{App: f.Type == wire.FrameApplicationClose, Code: f.Code, Frame: f.Culprit, Reason: string(f.Data)}
	c.end(now, stateDraining, &PeerError{e}, "remote", &e)
}

// receiveClosing counts a datagram that came after we closed. RFC 9000
// §10.2.1: answers are limited; ever fewer of them are sent.
func (c *Conn) receiveClosing() {
	c.closing.received++
	if c.closing.received >= c.closing.answerAt {
		c.closing.answerAt = 2 * c.closing.received
		c.closing.send = true
	}
}

func (c *Conn) tickClosing(now hook.Instant) {
	if c.closing.state != stateDrained && now >= c.closing.until {
		c.drained()
	}
}

// closeFrame is the frame for a space. RFC 9000 §10.2.3: an application's
// reason is not shown before the handshake is confirmed to be with the peer.
func (c *Conn) closeFrame(space recovery.SpaceID) *wire.Frame {
	var e *LocalError
	errors.As(c.closing.err, &e)
	f := &wire.Frame{Type: wire.FrameConnectionClose, Code: e.Code, Culprit: e.Frame, Data: []byte(e.Reason)}
	if e.App && space == recovery.AppData {
		f.Type = wire.FrameApplicationClose
	} else if e.App {
		f.Code, f.Culprit, f.Data = uint64(ApplicationError), 0, nil
	}
	f.Data = f.Data[:min(len(f.Data), maxReason)]
	return f
}
