package tunnel

import (
	"time"

	"github.com/seed51309289/quiver/quic"
)

// Options tune connections that carry tunnels. The zero value is the defaults.
type Options struct {
	// Connections is how many QUIC connections a Dialer has to one peer for one
	// identity; streams go to the one with the fewest. 0 = 1: a single connection
	// fills what two processors can do, and wakes fewer goroutines.
	Connections int

	// PeerTimeout is the silence after which a peer counts as gone. 0 = 2 min. The
	// smaller of both ends' counts. A dialer notices between PeerTimeout and
	// PeerTimeout + KeepAlive after it heard the last of its peer.
	PeerTimeout time.Duration
	// KeepAlive is how often a Dialer's silent connections send a PING. 0 = 20 s:
	// many translators of addresses forget a binding after 30. Negative = never.
	KeepAlive time.Duration
	// Unused is for how long a Dialer keeps a connection that no stream uses. 0 = 5
	// min, negative = not at all.
	Unused time.Duration

	// MaxStreams is how many streams a peer may have open at once on a connection.
	// 0 = 16384.
	MaxStreams int64

	// NoEarlyData refuses 0-RTT: a server's clients wait a round trip, and a Dialer
	// never tries.
	NoEarlyData bool
}

// Defaults of Options.
const (
	defaultPeerTimeout = 2 * time.Minute
	defaultKeepAlive   = 20 * time.Second
	defaultUnused      = 5 * time.Minute
	defaultMaxStreams  = 16384 // limit: streams of one connection, which are TCP connections
)

// Windows, in bytes. Those of a stream, and with them the connection's, grow
// while its reader keeps up.
const (
	streamWindow    = 256 << 10
	maxStreamWindow = 8 << 20
	connWindow      = 1 << 20
	maxConnWindow   = 12 << 20
)

// processBudget is what all connections of this process hold beyond their own
// windows of what programs do not read: 2048 streams that stop with a full
// window. limit: memory of programs that do not read.
const processBudget = 512 << 20

// unread is the budget of the process.
var unread = quic.NewReceiveBudget(processBudget)

// orDefault gives 0 its default and negative values the meaning "none".
func orDefault[T int | int64 | time.Duration](v, def T) T {
	switch {
	case v == 0:
		return def
	case v < 0:
		return 0
	}
	return v
}

// ListenConfig returns what a Server's Listener needs: base, which may be nil,
// with idle time-out, limits and 0-RTT as tunnels want them. What programs do not
// read is held on account of base's Limits.ReceiveBudget, or else of one of 512
// MiB that the whole process shares.
func (o *Options) ListenConfig(base *quic.Config) *quic.Config {
	conf := o.config(base)
	conf.KeepAlivePeriod = 0 // the dialers' do
	conf.Limits.MaxIncomingStreams = orDefault(o.MaxStreams, defaultMaxStreams)
	conf.Allow0RTT = !o.NoEarlyData
	return conf
}

// dialConfig is ListenConfig for the other end.
func (o *Options) dialConfig(base *quic.Config) *quic.Config {
	conf := o.config(base)
	conf.KeepAlivePeriod = orDefault(o.KeepAlive, defaultKeepAlive)
	conf.Limits.MaxIncomingStreams = -1 // an acceptor opens none
	return conf
}

func (o *Options) config(base *quic.Config) *quic.Config {
	var conf quic.Config
	if base != nil {
		conf = *base
	}
	conf.EnableStreamResetPartialDelivery = true // see Stream.ResetAfter
	conf.MaxIdleTimeout = orDefault(o.PeerTimeout, defaultPeerTimeout)
	conf.Limits.MaxIncomingUniStreams = -1
	conf.Limits.InitialStreamReceiveWindow, conf.Limits.MaxStreamReceiveWindow = streamWindow, maxStreamWindow
	conf.Limits.InitialConnectionReceiveWindow, conf.Limits.MaxConnectionReceiveWindow = connWindow, maxConnWindow
	if conf.Limits.ReceiveBudget == nil {
		conf.Limits.ReceiveBudget = unread
	}
	return &conf
}
