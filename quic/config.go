package quic

import (
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/internal/recovery"
	"github.com/seed51309289/quiver/internal/wire"
)

// Version is a QUIC version number.
type Version uint32

// The versions that this package speaks. They differ in nothing but the bytes
// on the wire.
const (
	Version1 = Version(wire.Version1) // RFC 9000
	Version2 = Version(wire.Version2) // RFC 9369
)

// String returns "v1", "v2" or the number in hexadecimal.
func (v Version) String() string { return wire.Version(v).String() }

// Config tunes a connection. The zero value, and a nil pointer, are the
// defaults; negative values turn a thing off where that makes sense. A Config
// must not change while it is in use.
type Config struct {
	// Versions in order of preference. nil = Version1, Version2. A server accepts
	// any of them, and goes on in the first that the client has, too (RFC 9368).
	// A client that is refused the version it began in takes the first that the
	// server has.
	Versions []Version
	// FirstVersion is the version in which a client begins, one of Versions. 0 =
	// Version1 if it is in Versions, which nearly all servers know, else the first
	// of Versions.
	FirstVersion Version
	// HandshakeTimeout bounds connection establishment. 0 = 10 s, negative = none.
	HandshakeTimeout time.Duration
	// IgnoreUnreachable lets a client wait for a server that there is no way to yet:
	// one that starts later, on a network that comes up. Otherwise Dial fails at once
	// with an *UnreachableError if ICMP says so before the server has answered at all;
	// Linux alone hears ICMP. Afterwards ICMP is never believed.
	IgnoreUnreachable bool
	// MaxIdleTimeout ends a silent connection; the smaller of both sides' counts.
	// 0 = 30 s, negative = none.
	MaxIdleTimeout time.Duration
	// KeepAlivePeriod sends a PING after that much silence. 0 = never.
	KeepAlivePeriod time.Duration

	// Limits bounds what a connection takes of this host's memory.
	Limits Limits

	// Congestion names the built-in congestion controller: "cubic" (RFC 9438),
	// "newreno" (RFC 9002) or "bbr" (draft-ietf-ccwg-bbr). "" = cubic.
	Congestion string
	// NewCongestion makes a controller of the program's own for each network path,
	// with every call a new one. nil, as its result too, leaves it to Congestion.
	// The connection calls it and what it returns under its lock, see hook.
	NewCongestion func(hook.CongestionConfig) hook.Congestion

	// CarefulResume lets a connection begin with half of what an earlier one to
	// the same address carried, and go back at once if that is too much (RFC
	// 9959); see NewPathStore. nil = every connection begins anew.
	CarefulResume PathStore

	// MaxDatagramSize bounds path MTU discovery, in bytes of UDP payload.
	// 0 = 16000, negative = no discovery: every datagram has at most 1200 bytes.
	MaxDatagramSize int
	// DisableGrease sends nothing that only tests the peer's tolerance: reserved
	// transport parameters and versions (RFC 9000 §15, §18.1), and a fixed bit that
	// is not (RFC 9287). Such a bit is then not taken either.
	DisableGrease bool
	// DisableActiveMigration asks the peer, a client, to stay on its address
	// (RFC 9000 §18.2). One that the network moves is served all the same.
	DisableActiveMigration bool
	// PreferredAddress is where a server would rather be reached than where the
	// client dialed (RFC 9000 §9.6): it must hear there, see Transport.AddConn.
	// IgnorePreferredAddress lets a client stay where it dialed.
	PreferredAddress       PreferredAddress
	IgnorePreferredAddress bool
	// Sockets is how many sockets ListenAddr opens for its address, each with a
	// goroutine that reads it: more than one processor then receives. The system
	// gives each connection's datagrams to one of them (SO_REUSEPORT), also after
	// the client's address changed, by the connection IDs, whose last byte hides a
	// socket's number from all who lack a random key. A system that refuses that
	// goes by the addresses alone, which costs nothing but locality. 0 = one; more
	// work on Linux alone, elsewhere the error is errors.ErrUnsupported.
	Sockets int
	// DisableSpinBit shows observers nothing of the round-trip time. Otherwise
	// most connections do (RFC 9000 §17.4).
	DisableSpinBit bool
	// DisableECN never marks packets as ECN-capable.
	DisableECN bool
	// L4S marks packets ECT(1) instead of ECT(0), which asks routers for a queue
	// of low latency and for marks that come early and often (RFC 9331). Only a
	// controller that answers to the share of marked packets, hook.Acked.CE of
	// hook.Acked.Packets, may use it, so that NewCongestion must be set.
	L4S bool

	// Allow0RTT lets a server take early data: what clients that were here before
	// send with their first datagrams, without waiting for the handshake. Accept
	// then returns such connections at once; see Conn.HandshakeComplete. Early data
	// has no forward secrecy, and whoever recorded it can send it again (RFC 9001
	// §9.2): a Transport takes it once per connection attempt within an hour of
	// the ticket, but Transports that share ticket keys take it once each. So act
	// only on requests that do no harm twice, before the handshake is complete.
	Allow0RTT bool

	// TokenStore lets a client prove its address to servers it was connected to
	// before, which saves a round trip where a server would ask for a Retry. nil =
	// none; see NewLRUTokenStore.
	TokenStore TokenStore

	// EnableDatagrams takes unreliable messages from the peer (RFC 9221); see
	// ReceiveDatagram. Sending them is up to the peer's.
	EnableDatagrams bool

	// EnableStreamResetPartialDelivery lets the peer reset streams without taking
	// back their beginning; see SendStream.SetReliableBoundary
	// (draft-ietf-quic-reliable-stream-reset).
	EnableStreamResetPartialDelivery bool

	// Extensions attaches extensions to connections, and takes part in the exchange of plugins; see plugin.Host. nil = neither.
	Extensions Extensions

	// Logger is told at level Debug when a connection starts, is established (and
	// what came of 0-RTT), moves to another path, and ends, and why. It is never
	// called under a lock of this package. nil = nobody is told anything.
	Logger *slog.Logger

	// StreamLeakAfter finds streams that a program forgot to close: Logger is told,
	// once and at level Warn, of each that is open this long after it was opened or
	// accepted here, with the stack of that call. It costs a timer and a stack for
	// each stream. 0 = never, and no cost.
	StreamLeakAfter time.Duration

	// QLogDir is a directory for one qlog file per connection. "" = $QLOGDIR, or none.
	QLogDir string
	// QLog returns where else the qlog of a new connection goes as it is written: whole records, from a goroutine of the connection's own, which
	// closes it after the last. nil, as its result too, = nowhere else. What a slow reader leaves waiting is bounded, and left out beyond.
	QLog func(client bool) io.WriteCloser
}

// Defaults of Config.
const (
	defaultHandshakeTimeout = 10 * time.Second
	defaultIdleTimeout      = 30 * time.Second
	defaultMaxDatagram      = 16000
	defaultCongestion       = "cubic"
)

// PreferredAddress is an IPv4 and an IPv6 address of a server; one that is not
// valid is none.
type PreferredAddress struct{ V4, V6 netip.AddrPort }

// validate tells check of an address that cannot be announced.
func (a *PreferredAddress) validate(check func(ok bool, format string, args ...any)) {
	usable := func(ap netip.AddrPort) bool { return ap.Port() != 0 && !ap.Addr().IsUnspecified() }
	check(!a.V4.IsValid() || a.V4.Addr().Is4() && usable(a.V4), "PreferredAddress.V4: got %v, want an IPv4 address and a port", a.V4)
	check(!a.V6.IsValid() || a.V6.Addr().Is6() && !a.V6.Addr().Is4In6() && usable(a.V6), "PreferredAddress.V6: got %v, want an IPv6 address and a port", a.V6)
}

// Validate reports all fields that cannot be used, in one error. A nil Config
// is valid.
func (c *Config) Validate() error {
	if c == nil {
		return nil
	}
	var wrong []string
	check := func(ok bool, format string, args ...any) {
		if !ok {
			wrong = append(wrong, fmt.Sprintf(format, args...))
		}
	}
	for _, v := range c.Versions {
		check(v == Version1 || v == Version2 || wire.Version(v).Reserved(), "Versions: got %v, want %v or %v", v, Version1, Version2)
	}
	check(c.FirstVersion == 0 || slices.Contains(c.versions(), wire.Version(c.FirstVersion)),
		"FirstVersion: got %v, want one of Versions, which are %v", c.FirstVersion, c.versions())
	if _, err := recovery.New(c.congestion(), wire.MinInitialDatagram); err != nil {
		check(false, "Congestion: %v", err)
	}
	check(!c.L4S || c.NewCongestion != nil && !c.DisableECN, "L4S: got true, want it with NewCongestion and without DisableECN: no built-in controller is scalable (RFC 9331 §4.3)")
	check(c.StreamLeakAfter <= 0 || c.Logger != nil, "StreamLeakAfter: got %v, want it with Logger, which is to be told", c.StreamLeakAfter)
	c.Limits.validate(check)
	c.PreferredAddress.validate(check)
	check(c.Sockets >= 0 && c.Sockets <= maxSockets, "Sockets: got %d, want 0 to %d", c.Sockets, maxSockets)
	check(c.MaxDatagramSize <= 0 || c.MaxDatagramSize >= wire.MinInitialDatagram,
		"MaxDatagramSize: got %d, want at least %d bytes (RFC 9000 §14), or negative for that", c.MaxDatagramSize, wire.MinInitialDatagram)
	if len(wrong) == 0 {
		return nil
	}
	return fmt.Errorf("quic: config: %s", strings.Join(wrong, "; "))
}

func (c *Config) versions() []wire.Version {
	if c == nil || len(c.Versions) == 0 {
		return []wire.Version{wire.Version1, wire.Version2}
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
	if c != nil && c.NewCongestion != nil {
		if cc := c.NewCongestion(hook.CongestionConfig{DatagramSize: mss}); cc != nil {
			return cc
		}
	}
	cc, err := recovery.New(c.congestion(), mss)
	if err != nil {
		panic("BUG: the config was validated: " + err.Error())
	}
	return cc
}

// extensions says which extensions of QUIC are announced.
func (c *Config) extensions(cfg *core.Config) {
	cfg.ResetStreamAt = c.EnableStreamResetPartialDelivery
	if c.EnableDatagrams {
		cfg.MaxDatagramFrame = maxDatagramFrame
	}
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
