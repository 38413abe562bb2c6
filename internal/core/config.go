package core

import (
	"context"
	"crypto/tls"
	"io"
	"net/netip"
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/crypt"
	"github.com/seed51309289/quiver/internal/qlog"
	"github.com/seed51309289/quiver/internal/wire"
)

// Config is what a connection must be told. Every field is required unless its
// comment gives a meaning to zero; the quic package applies the defaults.
type Config struct {
	TLS      *tls.Config
	Rand     io.Reader      // connection IDs, challenges: cryptographically secure
	Versions []wire.Version // in order of preference
	// FirstVersion is that of a client's first flight. 0 = version 1 if Versions
	// has it, else their first.
	FirstVersion wire.Version
	NoGrease     bool // send nothing that only tests the peer's tolerance

	IdleTimeout      time.Duration // 0 = none
	HandshakeTimeout time.Duration
	KeepAlive        time.Duration // 0 = none

	StreamWindow, MaxStreamWindow uint64        // bytes: first receive window of a stream, and how far it grows
	ConnWindow, MaxConnWindow     uint64        // bytes: the same for the connection
	Budget                        ReceiveBudget // nil = the connection's window goes ahead of what was read alone
	SendBuffer, MaxSendBuffer     uint64        // bytes that a stream takes before the peer has acknowledged them, and how far they grow
	MaxStreamsBidi, MaxStreamsUni uint64        // streams that the peer may have open

	// MaxDatagramFrame is the largest DATAGRAM frame that we take, in bytes,
	// header included (RFC 9221 §3). 0 = none.
	MaxDatagramFrame uint64

	// ResetStreamAt lets a reset leave the first part of a stream alone
	// (draft-ietf-quic-reliable-stream-reset).
	ResetStreamAt bool

	Congestion func(mss int) hook.Congestion
	SavedPath  hook.SavedPath // of an earlier connection to the same peer; zero = none
	AckPolicy  hook.AckPolicy // nil = the built-in one
	MaxMTU     int            // bytes of UDP payload; 0 = no discovery beyond 1200
	NoECN      bool
	L4S        bool // mark packets ECT(1): the controller must be scalable (RFC 9331 §4.3)

	NoSpin bool // the spin bit tells nothing

	// Plugins takes part in the exchange of plugins: AcceptPlugins in considering
	// the peer's offers, OfferPlugins in making some soon after the handshake.
	Plugins, AcceptPlugins, OfferPlugins bool
	// ResumeExtensions returns what runs the plugins that an earlier connection
	// agreed on, in their order, or false. nil = it never can. It must not call
	// the connection.
	ResumeExtensions func(offers []hook.Offer) ([]hook.Extension, bool)

	DisableActiveMigration bool // ask the peer to stay on the path that it began on
	// PreferredV4 and PreferredV6 are where a server would rather be reached;
	// invalid = it has no such wish (RFC 9000 §9.6).
	PreferredV4, PreferredV6 netip.AddrPort

	// Early lets a client offer 0-RTT with a session that allows it, and a server
	// issue tickets for it. Guard says which offers a server takes; nil = none.
	Early bool
	Guard EarlyGuard
	// Context is what a client's callbacks of TLS see; nil = context.Background().
	Context context.Context

	// Token lets a client prove its address at once: a server gave it on a
	// connection of TokenVersion; nil = none. TokenKey lets a server give such
	// tokens; nil = it gives none.
	Token        []byte
	TokenVersion wire.Version
	TokenKey     *crypt.TokenKey

	// ShapeID makes a random connection ID of ours one that leads to a socket of
	// the driver; it must be a pure function. nil = IDs lead anywhere.
	ShapeID func(id []byte, socket int)

	ResetKey *crypt.ResetKey // nil = no stateless reset tokens
	Log      *qlog.Log       // nil = none
}

// Incoming is a new connection at a server, as Router found it.
type Incoming struct {
	Version wire.Version
	DCID    ConnID // what the client's Initial was sent to
	SCID    ConnID // the client's own
	// OriginalDCID is DCID unless a Retry came before; then it is that of the
	// first Initial, and RetrySCID is DCID.
	OriginalDCID ConnID
	RetrySCID    ConnID
	Retried      bool
	Validated    bool // a token proved the client's address (RFC 9000 §8.1)
	Remote       netip.AddrPort
	Local        netip.Addr
	Socket       int
	// Context is the driver's: what callbacks of TLS see; nil = context.Background().
	Context context.Context
}
