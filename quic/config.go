package quic

import (
	"fmt"
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/recovery"
	"github.com/seed51309289/quiver/internal/wire"
)

// Version is a QUIC version number.
type Version uint32

// Version1 is RFC 9000.
const Version1 = Version(wire.Version1)

// Config tunes a connection. The zero value, and a nil pointer, are the
// defaults; negative values turn a thing off where that makes sense. A Config
// must not change while it is in use.
type Config struct {
	// Versions in order of preference; a client offers the first. nil = Version1.
	Versions []Version
	// HandshakeTimeout bounds connection establishment. 0 = 10 s, negative = none.
	HandshakeTimeout time.Duration
	// MaxIdleTimeout ends a silent connection; the smaller of both sides' counts.
	// 0 = 30 s, negative = none.
	MaxIdleTimeout time.Duration
	// KeepAlivePeriod sends a PING after that much silence. 0 = never.
	KeepAlivePeriod time.Duration

	// Receive windows in bytes: the first and the largest. They grow while they
	// hold the peer back. 0 = 512 KiB, 6 MiB, 768 KiB, 15 MiB.
	InitialStreamWindow, MaxStreamWindow uint64
	InitialConnWindow, MaxConnWindow     uint64
	// SendBuffer is how many bytes a stream takes before they are acknowledged;
	// it grows with the congestion window. 0 = 256 KiB.
	SendBuffer uint64

	// MaxIncomingStreams is how many bidirectional streams the peer may have open
	// at once, MaxIncomingUniStreams the same for unidirectional ones. 0 = 100,
	// negative = none.
	MaxIncomingStreams, MaxIncomingUniStreams int64

	// Congestion names the congestion controller: "cubic" or "newreno". "" = cubic.
	Congestion string

	// MaxDatagramSize bounds path MTU discovery, in bytes of UDP payload.
	// 0 = 16000, negative = no discovery: every datagram has at most 1200 bytes.
	MaxDatagramSize int
	// DisableECN never marks packets as ECN-capable.
	DisableECN bool

	// QLogDir is a directory for one qlog file per connection. "" = $QLOGDIR, or none.
	QLogDir string
}

// Defaults of Config.
const (
	defaultHandshakeTimeout = 10 * time.Second
	defaultIdleTimeout      = 30 * time.Second
	defaultStreamWindow     = 512 << 10
	defaultMaxStreamWindow  = 6 << 20
	defaultConnWindow       = 768 << 10
	defaultMaxConnWindow    = 15 << 20
	defaultSendBuffer       = 256 << 10
	defaultStreams          = 100
	defaultMaxDatagram      = 16000
	defaultCongestion       = "cubic"
)

// Validate reports the first field that cannot be used.
func (c *Config) Validate() error {
	if c == nil {
		return nil
	}
	if _, err := recovery.New(c.congestion(), wire.MinInitialDatagram); err != nil {
		return fmt.Errorf("quic: config: Congestion: %w", err)
	}
	for _, v := range c.Versions {
		if v != Version1 && !wire.Version(v).Reserved() {
			return fmt.Errorf("quic: config: Versions: got %v, want v1", wire.Version(v))
		}
	}
	if c.InitialStreamWindow > wire.MaxVarint || c.InitialConnWindow > wire.MaxVarint {
		return fmt.Errorf("quic: config: a window is above 2^62-1 bytes")
	}
	if max(c.MaxIncomingStreams, c.MaxIncomingUniStreams) > wire.MaxStreams {
		return fmt.Errorf("quic: config: MaxIncomingStreams is above 2^60")
	}
	return nil
}

func (c *Config) versions() []wire.Version {
	if c == nil || len(c.Versions) == 0 {
		return []wire.Version{wire.Version1}
	}
	vs := make([]wire.Version, len(c.Versions))
	for i, v := range c.Versions {
		vs[i] = wire.Version(v)
	}
	return vs
}

func (c *Config) congestion() string {
	if c == nil || c.Congestion == "" {
		return defaultCongestion
	}
	return c.Congestion
}

func (c *Config) newCongestion(mss int) hook.Congestion {
	cc, err := recovery.New(c.congestion(), mss)
	if err != nil {
		panic("BUG: the config was validated: " + err.Error())
	}
	return cc
}

// orDefault gives 0 its default and negative values the meaning "off".
func orDefault[T int | int64 | time.Duration](v, def T) T {
	switch {
	case v == 0:
		return def
	case v < 0:
		return 0
	}
	return v
}

func orDefaultU(v, def uint64) uint64 {
	if v == 0 {
		return def
	}
	return v
}
