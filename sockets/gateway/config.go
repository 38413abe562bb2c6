package gateway

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"github.com/seed51309289/quiver/quic"
	"github.com/seed51309289/quiver/sockets/identity"
	"github.com/seed51309289/quiver/sockets/policy"
)

// Config says what a gateway does. Nothing of it may change after [Open].
type Config struct {
	// Pairs are its ways, at least one. Several may share an address of QUIC, if they differ in the TCP port. They are bounded by the command line.
	Pairs []Pair
	// AllowTo is where the outlet "tcp://" may connect to: HOST, ADDRESS or CIDR, each with :PORTS or without. Addresses of this machine alone
	// (loopback, link-local) must be named as such: 0.0.0.0/0 does not have them.
	AllowTo []string
	// Users are who may use the proxies. nil = everybody, and the proxies are on loopback.
	Users Users

	// ProxyProtocol sends a PROXY header, version 2, before everything else to TCP targets.
	ProxyProtocol bool
	// ProxyFrom is from where connections to "tcp://" inlets begin with such a header, which then must be there. From elsewhere there is none.
	ProxyFrom []netip.Prefix
	// SpeakFor is whom of the dialers the header believes their source address, as patterns of identity.Peer.Matches; of others it has the
	// address that they come from.
	SpeakFor []string

	// Identity is who this end is and whom it trusts. Protocols is not looked at.
	Identity identity.Options
	// QUIC tunes connections. nil = the defaults.
	QUIC *quic.Config

	// Drain is how long connections may go on when the gateway ends. 0 = 30 s, negative = not at all.
	Drain time.Duration
	// Log is told what happens. nil = nobody.
	Log *slog.Logger
	// Lookup resolves names. nil = the system's way.
	Lookup policy.Lookup
	// Command is what others are shown as the command line.
	Command []string

	patience time.Duration // 0 = handshakeWithin
}

const (
	maxConns      = 8192 // limit: TCP connections that a gateway carries at once, and those it is about to
	maxHandshakes = 512  // limit: of these, clients that have not said yet what they want

	handshakeWithin = 10 * time.Second // for a client to say what it wants
	dialWithin      = 30 * time.Second // for the far side to answer
	defaultDrain    = 30 * time.Second
)

// A ConfigError says what is wrong with a [Config], in the words of the command's flags.
type ConfigError struct{ err error }

func (e *ConfigError) Error() string { return e.err.Error() }

// Unwrap returns the errors behind it.
func (e *ConfigError) Unwrap() error { return e.err }

// check says what is wrong with the Config, in the words of the command.
func (c *Config) check() error {
	if len(c.Pairs) == 0 {
		return errors.New("nothing to do: want --in and --out, or --socks5")
	}
	var errs []error
	relays, targets := false, false
	for i := range c.Pairs {
		p := &c.Pairs[i]
		relays = relays || p.in.scheme == overQUIC && p.out.host == ""
		targets = targets || p.out.scheme == overTCP
		if p.in.scheme == overSOCKS && c.Users == nil && !loopback(p.in.addr) {
			errs = append(errs, fmt.Errorf("--in %s: a proxy for everybody who can reach it, want --proxy-users FILE, or an address on loopback such as 127.0.0.1", p.in.text))
		}
		errs = append(errs, c.clashes(i))
	}
	switch {
	case relays && len(c.AllowTo) == 0:
		errs = append(errs, errors.New("--out tcp:// connects to where others say, want --allow-to with the destinations that they may have, such as 10.0.0.0/8:443"))
	case !relays && len(c.AllowTo) > 0:
		errs = append(errs, errors.New("--allow-to is about --out tcp://, which is not there"))
	}
	if c.ProxyProtocol && !targets {
		errs = append(errs, errors.New("--proxy-protocol is about --out tcp://…, which is not there"))
	}
	if len(c.SpeakFor) > 0 && !c.ProxyProtocol {
		errs = append(errs, errors.New("--speak-for is about what --proxy-protocol tells, which is not there"))
	}
	for _, id := range c.SpeakFor {
		if err := identity.CheckPattern(id); err != nil {
			errs = append(errs, fmt.Errorf("--speak-for: %w", err))
		}
	}
	return errors.Join(errs...)
}

// clashes compares a pair with those before it.
func (c *Config) clashes(i int) error {
	p := &c.Pairs[i]
	for j := range i {
		q := &c.Pairs[j]
		quic := p.in.scheme == overQUIC && q.in.scheme == overQUIC
		if p.in.addr != q.in.addr || strings.HasSuffix(p.in.addr, ":0") || (p.in.scheme == overQUIC) != (q.in.scheme == overQUIC) {
			continue
		}
		if !quic || p.wants() == q.wants() {
			return fmt.Errorf("--in %s is there twice, for %s and for %s", p.in.text, q.out.text, p.out.text)
		}
	}
	return nil
}

// wants is which TCP port a stream must ask for to take the pair; 0: any that no other takes.
func (p *Pair) wants() uint16 {
	if p.in.port != 0 {
		return p.in.port
	}
	return p.out.port
}

// loopback reports whether only this machine can reach an address.
func loopback(hostPort string) bool {
	host := hostPort[:strings.LastIndexByte(hostPort, ':')]
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// ParseProxyFrom reads networks and addresses.
func ParseProxyFrom(list []string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, s := range list {
		if addr, err := netip.ParseAddr(s); err == nil && addr.Zone() == "" {
			addr = addr.Unmap()
			out = append(out, netip.PrefixFrom(addr, addr.BitLen()))
			continue
		}
		prefix, err := netip.ParsePrefix(s)
		if err != nil || prefix.Addr().Is4In6() {
			return nil, fmt.Errorf("--accept-proxy-from %q, want a network such as 10.0.0.0/8 or an address", s)
		}
		out = append(out, prefix.Masked())
	}
	return out, nil
}
