package quictest

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/internal/wire"
	"github.com/seed51309289/quiver/netsim"
)

const (
	v1 = wire.Version1
	v2 = wire.Version2
)

// longHeaders records the long headers of each side in the order in which
// they left, one word for what repeats.
type longHeaders [2][]string

func (l *longHeaders) tap(from netsim.Side, d []byte) []byte {
	eachPacket(d, func(h *wire.Header, _ byte) {
		if h.Type == wire.Packet1RTT {
			return
		}
		word := fmt.Sprintf("%v %v", h.Type, h.Version)
		if n := len(l[from]); n == 0 || l[from][n-1] != word {
			l[from] = append(l[from], word)
		}
	})
	return d
}

// versionsOf configures the preferences of both sides.
func versionsOf(first wire.Version, client, server []wire.Version) func(side netsim.Side, cfg *core.Config) {
	return func(side netsim.Side, cfg *core.Config) {
		cfg.Versions = server
		if side == netsim.Left {
			cfg.Versions, cfg.FirstVersion = client, first
		}
	}
}

func TestVersionsOnTheWire(t *testing.T) {
	both, reverse := []wire.Version{v1, v2}, []wire.Version{v2, v1}
	tests := []struct {
		name           string
		first          wire.Version
		client, server []wire.Version
		retry          bool
		clientSends    string
		serverSends    string
	}{
		{"the defaults stay in v1", 0, both, both, false,
			"initial v1, handshake v1", "initial v1, handshake v1"},
		{"v2 alone", 0, []wire.Version{v2}, []wire.Version{v2}, false,
			"initial v2, handshake v2", "initial v2, handshake v2"},
		{"the client begins in v2", v2, both, reverse, false,
			"initial v2, handshake v2", "initial v2, handshake v2"},
		{"the server upgrades to v2", 0, both, reverse, false,
			"initial v1, initial v2, handshake v2", "initial v1, initial v2, handshake v2"},
		{"the server goes down to v1", v2, reverse, both, false,
			"initial v2, initial v1, handshake v1", "initial v2, initial v1, handshake v1"},
		{"a client that lists v1 alone stays there", 0, []wire.Version{v1}, reverse, false,
			"initial v1, handshake v1", "initial v1, handshake v1"},
		{"a Retry comes in v2", v2, both, reverse, true,
			"initial v2, handshake v2", "retry v2, initial v2, handshake v2"},
		{"a Retry comes in the version before the upgrade", 0, both, reverse, true,
			"initial v1, initial v2, handshake v2", "retry v1, initial v1, initial v2, handshake v2"},
		{"the server refuses v2", v2, both, []wire.Version{v1}, false,
			"initial v2, initial v1, handshake v1", "version_negotiation 0x00000000, initial v1, handshake v1"},
		{"the server refuses what nobody speaks, and upgrades", 0x1a2a3a4a, []wire.Version{0x1a2a3a4a, v1, v2}, reverse, false,
			"", "version_negotiation 0x00000000, initial v1, initial v2, handshake v2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var l longHeaders
			p := NewPair(t, Seed(t, 11), Options{Retry: tt.retry, Tap: l.tap, Config: versionsOf(tt.first, tt.client, tt.server)})
			serve(p)
			runTransfer(t, p, []byte("100000"))
			client, server := strings.Join(l[netsim.Left], ", "), strings.Join(l[netsim.Right], ", ")
			// The server acknowledges the first half of a long ClientHello before it
			// can know the client's versions; and both repeat what got lost.
			if tt.clientSends != "" && client != tt.clientSends {
				t.Errorf("client sent %s\nwant %s", client, tt.clientSends)
			}
			if server != tt.serverSends && server != strings.Replace(tt.serverSends, "initial v1, initial v2", "initial v2", 1) {
				t.Errorf("server sent %s\nwant %s", server, tt.serverSends)
			}
			want := tt.serverSends[len(tt.serverSends)-2:]
			for _, c := range []*Peer{p.Client.Conns[0], p.Server.Conns[0]} {
				if got := c.Version().String(); got != want {
					t.Errorf("the connection says that its version is %s, want %s", got, want)
				}
			}
		})
	}
}

func TestVersionsAreNegotiatedOverBadNetworks(t *testing.T) {
	reverse := []wire.Version{v2, v1}
	seeds(t, 30, func(t *testing.T, seed uint64) {
		opts := bothWays(harsh)
		opts.Retry = seed%3 == 0
		opts.Config = versionsOf(0, []wire.Version{v1, v2}, reverse)
		if seed%2 == 0 {
			opts.Config = versionsOf(v2, reverse, []wire.Version{v1, v2})
		}
		p := NewPair(t, seed, opts)
		serve(p)
		runTransfer(t, p, []byte("50000"))
		want := v2
		if seed%2 == 0 {
			want = v1
		}
		if got := p.Client.Conns[0].Version(); got != want {
			t.Errorf("seed %d: version %v, want %v", seed, got, want)
		}
	})
}

func TestKeysAreUpdatedInVersion2(t *testing.T) {
	for _, by := range []string{"client", "server"} {
		t.Run(by, func(t *testing.T) {
			p := NewPair(t, Seed(t, 12), Options{Config: versionsOf(0, []wire.Version{v1, v2}, []wire.Version{v2, v1})})
			serve(p)
			c := p.Dial()
			p.Run(5*time.Second, func() bool { return c.Confirmed })
			s := p.Server.Conns[0]
			who := c
			if by == "server" {
				who = s
			}
			for i := range 6 {
				f := c.Get([]byte("100000"))
				updated := false
				p.Run(time.Minute, func() bool {
					if !updated && f.Body.Len() > 10_000 {
						updated = true
						who.UpdateKeys(p.Clock.Now())
						who.Flush()
					}
					return f.Done && updated
				})
				if !f.Done || !bytes.Equal(f.Body.Bytes(), answer([]byte("100000"))) {
					t.Fatalf("update %d: the transfer ended with %v, %v", i, c.Err(), s.Err())
				}
				p.Run(time.Second, func() bool { return false })
				if c.Stats().KeyUpdates != s.Stats().KeyUpdates || c.Stats().KeyUpdates != uint64(i+1) || c.Version() != v2 {
					t.Fatalf("RFC 9369 §3.3.2: %d and %d key updates in %v, want %d in v2", c.Stats().KeyUpdates, s.Stats().KeyUpdates, c.Version(), i+1)
				}
			}
		})
	}
}

func TestHelloRetryRequestSettlesTheVersion(t *testing.T) {
	p := NewPair(t, Seed(t, 13), Options{Config: func(side netsim.Side, cfg *core.Config) {
		versionsOf(0, []wire.Version{v1, v2}, []wire.Version{v2, v1})(side, cfg)
		cfg.TLS = cfg.TLS.Clone()
		cfg.TLS.CurvePreferences = []tls.CurveID{tls.CurveP256}
		if side == netsim.Left {
			cfg.TLS.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP256}
		}
	}})
	serve(p)
	runTransfer(t, p, []byte("1000"))
	if !p.Client.Conns[0].TLSState().HelloRetryRequest {
		t.Fatal("there was no HelloRetryRequest")
	}
	if got := p.Client.Conns[0].Version(); got != v1 {
		t.Errorf("RFC 9369 §4.1: version %v after a CRYPTO frame in v1", got)
	}
}

// announce makes a RawPeer announce version_information.
func announce(chosen wire.Version, available ...wire.Version) func(p *wire.Params) {
	return func(p *wire.Params) {
		p.Versions = &wire.VersionInformation{Chosen: chosen, Available: wire.AppendVersions(nil, available...)}
	}
}

func TestVersionInformationIsAnnounced(t *testing.T) {
	check := func(t *testing.T, r *RawPeer, chosen wire.Version, want ...wire.Version) {
		t.Helper()
		info := r.Params().Versions
		if info == nil || info.Chosen != chosen {
			t.Fatalf("RFC 9368 §3: got %+v, want version %v chosen", info, chosen)
		}
		var known []wire.Version
		reserved := 0
		for i := range info.Available.Len() {
			if v := info.Available.At(i); v.Reserved() {
				reserved++
			} else {
				known = append(known, v)
			}
		}
		if fmt.Sprint(known) != fmt.Sprint(want) || reserved != 1 {
			t.Errorf("RFC 9368 §3: available are %v and %d reserved ones, want %v and one", known, reserved, want)
		}
	}
	reverse := func(cfg *core.Config) { cfg.Versions = []wire.Version{v2, v1} }
	check(t, NewRawServer(t, RawOptions{}).Connect(), v1, v1, v2)
	check(t, NewRawServer(t, RawOptions{Config: reverse}).Connect(), v1, v2, v1)
	check(t, NewRawClient(t, RawOptions{}).Connect(), v1, v1, v2)
	// Without the client's list there is nothing to choose from.
	check(t, NewRawClient(t, RawOptions{Config: reverse}).Connect(), v1, v2, v1)
	check(t, NewRawClient(t, RawOptions{Config: reverse, Params: announce(v1, v1, v2)}).Connect(), v2, v2, v1)
	check(t, NewRawServer(t, RawOptions{Upgrade: v2, Params: announce(v2)}).Connect(), v1, v1, v2)
}

func TestBadVersionInformationOfAClient(t *testing.T) {
	for _, tt := range []struct {
		name  string
		extra []byte
		code  core.Code
	}{
		{"empty", param(0x11), core.TransportParameterError},
		{"half a version", param(0x11, 0, 0, 0, 1, 0, 0), core.TransportParameterError},
		{"chosen version 0", param(0x11, 0, 0, 0, 0, 0, 0, 0, 0), core.TransportParameterError},
		{"available version 0", param(0x11, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0), core.TransportParameterError},
		{"chosen but not available", param(0x11, 0, 0, 0, 1, 0x6b, 0x33, 0x43, 0xcf), core.TransportParameterError},
		{"another version than the header's", param(0x11, 0x6b, 0x33, 0x43, 0xcf, 0x6b, 0x33, 0x43, 0xcf), core.VersionNegotiationError},
		{"twice", append(param(0x11, 0, 0, 0, 1, 0, 0, 0, 1), param(0x11, 0, 0, 0, 1, 0, 0, 0, 1)...), core.TransportParameterError},
	} {
		t.Run(tt.name, func(t *testing.T) {
			wantHandshakeFails(t, NewRawClient(t, RawOptions{Extra: tt.extra}), "RFC 9368 §4: "+tt.name, tt.code)
		})
	}
}

func TestBadVersionInformationOfAServer(t *testing.T) {
	for _, tt := range []struct {
		name    string
		upgrade wire.Version
		extra   []byte
		code    core.Code
	}{
		{"empty", 0, param(0x11), core.TransportParameterError},
		{"half a version", 0, param(0x11, 0, 0, 0, 1, 0, 0), core.TransportParameterError},
		{"chosen version 0", 0, param(0x11, 0, 0, 0, 0), core.TransportParameterError},
		{"available version 0", 0, param(0x11, 0, 0, 0, 1, 0, 0, 0, 0), core.TransportParameterError},
		{"another version than the headers'", 0, param(0x11, 0x6b, 0x33, 0x43, 0xcf), core.VersionNegotiationError},
		{"a version that the client does not have", 0, param(0x11, 0, 0, 0, 9), core.VersionNegotiationError},
		{"the original version after an upgrade", v2, param(0x11, 0, 0, 0, 1), core.VersionNegotiationError},
		{"missing after an upgrade", v2, nil, core.VersionNegotiationError},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := NewRawServer(t, RawOptions{Extra: tt.extra, Upgrade: tt.upgrade})
			wantHandshakeFails(t, r, "RFC 9368 §4: "+tt.name, tt.code)
		})
	}
}

func TestServerMayListNoVersions(t *testing.T) {
	NewRawServer(t, RawOptions{Params: announce(v1)}).Connect()
	NewRawServer(t, RawOptions{Params: announce(v1, 0x1a2a3a4a, 77, v2)}).Connect()
	NewRawServer(t, RawOptions{Upgrade: v2, Params: announce(v2)}).Connect()
}

// afterRefusal is a client that begins in first and obeys a Version
// Negotiation packet of a server that goes on in version.
func afterRefusal(t *testing.T, first, version wire.Version, versions []wire.Version, params func(p *wire.Params)) *RawPeer {
	t.Helper()
	r := NewRawServer(t, RawOptions{Version: version, Params: params, Config: func(cfg *core.Config) {
		cfg.Versions, cfg.FirstVersion = versions, first
	}})
	r.SendDatagram(r.negotiation(0x5a6a7a8a, version))
	if r.Conn.Err() != nil || r.Conn.Version() != version {
		t.Fatalf("version %v after Version Negotiation, want %v; %v", r.Conn.Version(), version, r.Conn.Err())
	}
	return r
}

func TestDowngradesByVersionNegotiationAreFound(t *testing.T) {
	both := []wire.Version{v2, v1}
	const unknown = wire.Version(0x00000077)
	for _, tt := range []struct {
		name           string
		first, version wire.Version
		versions       []wire.Version
		params         func(p *wire.Params)
	}{
		{"the server speaks what was refused", v2, v1, both, announce(v1, v1, v2)},
		{"even if we would rather have the other", v2, v1, []wire.Version{v1, v2}, announce(v1, v1, v2)},
		{"the server speaks what we prefer", unknown, v1, []wire.Version{unknown, v2, v1}, announce(v1, v2, v1)},
		{"the server names no version", v2, v1, both, announce(v1)},
		{"the server says nothing, in v2", v1, v2, both, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := afterRefusal(t, tt.first, tt.version, tt.versions, tt.params)
			wantHandshakeFails(t, r, "RFC 9368 §4: "+tt.name, core.VersionNegotiationError)
		})
	}
	for _, tt := range []struct {
		name           string
		first, version wire.Version
		versions       []wire.Version
		params         func(p *wire.Params)
	}{
		{"a server of v1 alone", v2, v1, both, announce(v1, v1)},
		{"a server that knows nothing of this", v2, v1, both, nil},
		{"a server of v2 alone", v1, v2, both, announce(v2, 0x2a3a4a5a, v2)},
		{"a server that is about to give v1 up", v2, v1, both, announce(v1, 0x00000088)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			afterRefusal(t, tt.first, tt.version, tt.versions, tt.params).Connect()
		})
	}
}

func TestSecondVersionNegotiationIsIgnored(t *testing.T) {
	r := afterRefusal(t, v2, v1, []wire.Version{v2, v1}, nil)
	r.Replies = nil
	r.SendDatagram(r.negotiation(v2))
	r.WantSilence("RFC 9368 §4: one Version Negotiation packet at most")
	r.Connect()
}

func TestClientReadsTheOriginalVersionUntilTheInitialKeysGo(t *testing.T) {
	r := NewRawServer(t, RawOptions{Upgrade: v2, Params: announce(v2, v1, v2)})
	r.Send(Initial, frame(wire.FramePing))
	p, _ := r.WantFrame("the client follows", wire.FrameAck)
	if p.Version != v2 || r.Conn.Version() != v2 {
		t.Errorf("RFC 9369 §4.1: answer in %v, want v2", p.Version)
	}
	r.goOnIn(v1)
	r.Send(Initial, frame(wire.FramePing)) // left before the server knew
	p, _ = r.WantFrame("RFC 9369 §4.1: an Initial that the network delayed", wire.FrameAck)
	if p.Version != v2 {
		t.Errorf("RFC 9369 §4.1: answer in %v, want v2", p.Version)
	}
	r.goOnIn(v2)
	r.Connect()
}

func TestClientDoesNotFollowAfterACryptoFrame(t *testing.T) {
	r := NewRawServer(t, RawOptions{})
	r.Send(Initial, crypto(500, []byte{1})) // any CRYPTO frame
	r.Replies = nil
	r.goOnIn(v2)
	r.Send(Initial, frame(wire.FramePing))
	r.WantSilence("RFC 9369 §4.1: the version is settled")
	if r.Conn.Version() != v1 {
		t.Errorf("the client went to %v", r.Conn.Version())
	}
}

func TestClientDoesNotFollowToAVersionThatItDidNotList(t *testing.T) {
	r := NewRawServer(t, RawOptions{Upgrade: v2, Params: announce(v2, v2), Config: func(cfg *core.Config) { cfg.Versions = []wire.Version{v1} }})
	r.Replies = nil
	r.Send(Initial, frame(wire.FramePing))
	r.WantSilence("RFC 9368 §2.3: it is not the client's version")
	r.WantOpen("and harms nothing")
}

func TestForgedPacketInAnotherVersionChangesNothing(t *testing.T) {
	r := NewRawServer(t, RawOptions{})
	r.Replies = nil
	r.goOnIn(v2)
	pkt := r.Packet(Initial, 0, frame(wire.FramePing), padding(1200))
	r.goOnIn(v1)
	pkt[len(pkt)-1] ^= 1
	r.SendDatagram(pkt)
	r.WantSilence("a packet that does not authenticate")
	r.Connect()
	if r.Conn.Version() != v1 {
		t.Errorf("it moved the client to %v", r.Conn.Version())
	}
}

func TestHandshakePacketsInAnotherVersionAreDropped(t *testing.T) {
	testSides := map[string]func() *RawPeer{
		"server": func() *RawPeer {
			r := NewRawClient(t, RawOptions{Params: announce(v1, v2, v1), Config: func(cfg *core.Config) { cfg.Versions = []wire.Version{v2, v1} }})
			r.AutoAck = false
			r.SendCrypto(Initial)
			return r
		},
		"client": func() *RawPeer {
			r := NewRawServer(t, RawOptions{Upgrade: v2, Params: announce(v2, v1, v2)})
			r.SendCrypto(Initial)
			return r
		},
	}
	for name, side := range testSides {
		r := side()
		if r.Conn.Version() != v2 {
			t.Fatalf("%s: version %v, want v2", name, r.Conn.Version())
		}
		r.Replies = nil
		r.version = v1 // under the right keys, even
		r.Send(Handshake, frame(wire.FramePing))
		r.WantSilence("RFC 9369 §4.1: a Handshake packet in the original version")
		r.version = v2
		r.Send(Handshake, frame(wire.FramePing))
		r.WantFrame("the negotiated version", wire.FrameAck)
	}
}

func TestServerReadsTheOriginalVersionUntilAHandshakePacket(t *testing.T) {
	r := NewRawClient(t, RawOptions{Params: announce(v1, v2, v1), Config: func(cfg *core.Config) { cfg.Versions = []wire.Version{v2, v1} }})
	r.AutoAck = false
	r.SendCrypto(Initial)
	for _, v := range []wire.Version{v1, v2, v1} {
		r.goOnIn(v)
		r.Replies = nil
		r.Send(Initial, frame(wire.FramePing))
		p, _ := r.WantFrame("RFC 9369 §4.1: an Initial in either version", wire.FrameAck)
		if p.Type != wire.PacketInitial || p.Version != v2 {
			t.Errorf("answer to %v in %v", v, p.Version)
		}
	}
	r.goOnIn(v2)
	r.Connect()
}

func TestHandshakePacketThatOvertakesTheSwitchIsHeld(t *testing.T) {
	r := NewRawServer(t, RawOptions{Upgrade: v2, Params: announce(v2, v1, v2)})
	s := &r.sp[Handshake]
	n := len(s.out) / 2
	half := s.out[:n]
	s.out, s.outAt = s.out[n:], uint64(n)
	r.Send(Handshake, crypto(0, half))
	r.SendCrypto(Initial)
	r.WantFrame("RFC 9001 §5.7: it is taken when its keys are there", wire.FrameAck, func(f *wire.Frame) bool { return true })
	r.Connect()
}
