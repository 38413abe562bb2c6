package quic

import (
	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/internal/wire"
)

// Limits bounds the memory that a connection may take, whatever the peer does.
// The zero value is the defaults. The most that a peer can make a connection
// hold is MaxConnectionReceiveWindow of what it sends; the most that an
// application that writes faster than the network can is MaxSendBuffer for each
// stream.
type Limits struct {
	// InitialStreamReceiveWindow is how many bytes a peer may send on a stream
	// before they are read; it grows up to MaxStreamReceiveWindow while it holds the
	// peer back (RFC 9000 §4.1). 0 = 512 KiB and 6 MiB.
	InitialStreamReceiveWindow, MaxStreamReceiveWindow uint64
	// InitialConnectionReceiveWindow and MaxConnectionReceiveWindow are the same for
	// all streams together. 0 = 768 KiB and 15 MiB.
	InitialConnectionReceiveWindow, MaxConnectionReceiveWindow uint64

	// ReceiveBudget, if set, keeps streams that nobody reads from stopping the
	// others of their connection: the connection's window then goes ahead of what
	// arrived, and not of what was read. What it takes more is of the budget, which
	// connections share. nil = the windows above are all that a connection may hold.
	ReceiveBudget *ReceiveBudget

	// MaxIncomingStreams is how many bidirectional streams the peer may have open
	// at once, MaxIncomingUniStreams the same for unidirectional ones (RFC 9000
	// §4.6). 0 = 100, negative = none.
	MaxIncomingStreams, MaxIncomingUniStreams int64

	// SendBuffer is how many bytes a stream takes from Write before the peer has
	// acknowledged them. It grows with the congestion window, to twice that, up to
	// MaxSendBuffer. While the streams of a connection hold 2 MiB more than two such
	// buffers, each takes 32 KiB. 0 = 256 KiB and 8 MiB.
	SendBuffer, MaxSendBuffer uint64

	// Backlog is how many connections that are established wait for a Listener's
	// Accept; beyond it they are refused (CONNECTION_REFUSED). 0 = 1024, negative =
	// every one is refused.
	Backlog int
}

// Defaults of Limits.
const (
	defaultStreamWindow    = 512 << 10
	defaultMaxStreamWindow = 6 << 20
	defaultConnWindow      = 768 << 10
	defaultMaxConnWindow   = 15 << 20
	defaultStreams         = 100
	defaultSendBuffer      = 256 << 10
	defaultMaxSendBuffer   = 8 << 20
	defaultBacklog         = 1024 // limit: connections that nobody accepts
)

// maxWindow bounds what windows may be, in bytes: so far below 2^62 that
// limits, which are windows added to positions, stay variable-length integers
// (RFC 9000 §16).
const maxWindow = 1 << 60

// validate tells check of every field that cannot be used.
func (l *Limits) validate(check func(ok bool, format string, args ...any)) {
	for _, w := range []struct {
		first, most       string
		gotFirst, gotMost uint64
	}{
		{"InitialStreamReceiveWindow", "MaxStreamReceiveWindow", l.InitialStreamReceiveWindow, l.MaxStreamReceiveWindow},
		{"InitialConnectionReceiveWindow", "MaxConnectionReceiveWindow", l.InitialConnectionReceiveWindow, l.MaxConnectionReceiveWindow},
		{"SendBuffer", "MaxSendBuffer", l.SendBuffer, l.MaxSendBuffer},
	} {
		check(w.gotFirst <= maxWindow, "Limits.%s: got %d, want at most 2^60 bytes", w.first, w.gotFirst)
		check(w.gotMost <= maxWindow, "Limits.%s: got %d, want at most 2^60 bytes", w.most, w.gotMost)
		check(w.gotMost == 0 || w.gotFirst <= w.gotMost, "Limits.%s: got %d, want at most %s, which is %d", w.first, w.gotFirst, w.most, w.gotMost)
	}
	check(l.MaxIncomingStreams <= wire.MaxStreams, "Limits.MaxIncomingStreams: got %d, want at most 2^60 (RFC 9000 §4.6)", l.MaxIncomingStreams)
	check(l.MaxIncomingUniStreams <= wire.MaxStreams, "Limits.MaxIncomingUniStreams: got %d, want at most 2^60 (RFC 9000 §4.6)", l.MaxIncomingUniStreams)
}

// apply gives the core what it bounds, with the defaults.
func (l *Limits) apply(cfg *core.Config) {
	if l.ReceiveBudget != nil {
		cfg.Budget = &l.ReceiveBudget.b
	}
	cfg.StreamWindow, cfg.MaxStreamWindow = windows(l.InitialStreamReceiveWindow, l.MaxStreamReceiveWindow, defaultStreamWindow, defaultMaxStreamWindow)
	cfg.ConnWindow, cfg.MaxConnWindow = windows(l.InitialConnectionReceiveWindow, l.MaxConnectionReceiveWindow, defaultConnWindow, defaultMaxConnWindow)
	cfg.SendBuffer, cfg.MaxSendBuffer = windows(l.SendBuffer, l.MaxSendBuffer, defaultSendBuffer, defaultMaxSendBuffer)
	cfg.MaxStreamsBidi = uint64(orDefault(l.MaxIncomingStreams, defaultStreams))
	cfg.MaxStreamsUni = uint64(orDefault(l.MaxIncomingUniStreams, defaultStreams))
}

func (l *Limits) backlog() int { return orDefault(l.Backlog, defaultBacklog) }

// windows applies defaults to a first and a largest window, such that the
// default of one never contradicts what was set for the other.
func windows(first, most, defFirst, defMost uint64) (uint64, uint64) {
	if most == 0 {
		most = max(defMost, first)
	}
	if first == 0 {
		first = min(defFirst, most)
	}
	return first, most
}

// limits returns those of c, which may be nil.
func (c *Config) limits() *Limits {
	if c == nil {
		return new(Limits)
	}
	return &c.Limits
}
