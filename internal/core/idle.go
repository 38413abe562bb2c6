package core

import (
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/recovery"
)

// idleState decides when silence ends the connection (RFC 9000 §10.1), when
// the handshake took too long, and when to keep alive.
type idleState struct {
	timeout       time.Duration // 0 = none
	since         hook.Instant  // the last restart
	sentSince     bool          // an ack-eliciting packet was sent since the last received one
	handshakeBy   hook.Instant  // 0 = done, or no limit
	keepAlive     time.Duration
	keepAliveFrom hook.Instant
}

func (s *idleState) start(now hook.Instant, cfg *Config) {
	*s = idleState{timeout: cfg.IdleTimeout, since: now, keepAlive: cfg.KeepAlive, keepAliveFrom: now}
	if cfg.HandshakeTimeout > 0 {
		s.handshakeBy = now.Add(cfg.HandshakeTimeout)
	}
}

// negotiate applies the peer's max_idle_timeout: the smaller one counts
// (RFC 9000 §10.1).
func (s *idleState) negotiate(peer time.Duration) {
	if peer > 0 && (s.timeout == 0 || peer < s.timeout) {
		s.timeout = peer
	}
}

// onReceive restarts the timer: a packet was received and processed (RFC 9000 §10.1).
func (s *idleState) onReceive(now hook.Instant) {
	s.since, s.sentSince, s.keepAliveFrom = now, false, now
}

// onSend restarts the timer for the first ack-eliciting packet since one was received.
func (s *idleState) onSend(now hook.Instant) {
	if !s.sentSince {
		s.since, s.sentSince = now, true
	}
	s.keepAliveFrom = now
}

// deadline is when silence ends the connection; at least three PTOs (RFC 9000 §10.1).
func (s *idleState) deadline(pto time.Duration) hook.Instant {
	if s.timeout == 0 {
		return 0
	}
	return s.since.Add(max(s.timeout, 3*pto))
}

// keepAliveAt is when a PING keeps the connection alive, and the bindings on the way.
func (s *idleState) keepAliveAt() hook.Instant {
	if s.keepAlive == 0 {
		return 0
	}
	every := s.keepAlive
	if s.timeout > 0 {
		every = min(every, s.timeout/2)
	}
	return s.keepAliveFrom.Add(every)
}

// tickIdle ends or prolongs a silent connection.
func (c *Conn) tickIdle(now hook.Instant) {
	if by := c.idle.handshakeBy; !by.IsZero() && !c.complete && now >= by {
		c.abandon(now, &HandshakeTimeoutError{})
		return
	}
	if at := c.idle.deadline(c.det.PTO(recovery.AppData)); !at.IsZero() && now >= at {
		// RFC 9000 §10.1: the connection is silently closed.
		c.abandon(now, &IdleTimeoutError{})
		return
	}
	if at := c.idle.keepAliveAt(); !at.IsZero() && now >= at && c.confirmed {
		c.idle.keepAliveFrom = now
		c.control |= ctlPing
	}
}
