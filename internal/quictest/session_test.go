package quictest

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/internal/wire"
	"github.com/seed51309289/quiver/netsim"
)

// resumingServer returns two RawPeers that play one server; the second one's
// client has the first one's ticket for 0-RTT and has sent its hello.
func resumingServer(t *testing.T, params func(p *wire.Params)) *RawPeer {
	t.Helper()
	cache := tls.NewLRUClientSessionCache(1)
	var server, client *tls.Config
	opts := RawOptions{
		TLS: func(cfg *tls.Config) {
			if server == nil {
				server = cfg.Clone()
				server.SetSessionTicketKeys([][32]byte{{1}})
			}
			*cfg = *server.Clone()
		},
		Config: func(cfg *core.Config) {
			if client == nil {
				client = cfg.TLS
				client.ClientSessionCache = cache
			}
			cfg.TLS, cfg.Early = client, true
		},
	}
	opts.Params = func(p *wire.Params) { p.MaxDatagramFrame = 1000 }
	first := NewRawServer(t, opts).Connect()
	must(first.tls.SendSessionTicket(tls.QUICSessionTicketOptions{EarlyData: true}))
	first.drainTLS()
	first.SendCrypto(App)
	opts.Params, opts.Seed = func(p *wire.Params) {
		p.MaxDatagramFrame = 1000
		if params != nil {
			params(p)
		}
	}, 2
	r := NewRawServer(t, opts)
	if r.Conn.Early() != core.EarlyOffered {
		t.Fatalf("0-RTT is %v, want offered", r.Conn.Early())
	}
	return r
}

// openEarly sends early data on a stream of the connection under test.
func (r *RawPeer) openEarly(data string) *core.Stream {
	r.t.Helper()
	s, ok := r.Conn.Open(false)
	if !ok {
		r.t.Fatal("no early stream")
	}
	r.Conn.Write(s, []byte(data))
	r.Flush()
	return s
}

func TestServerThatAcceptsEarlyDataMustNotLowerItsLimits(t *testing.T) {
	lower := map[string]func(p *wire.Params){
		"active_connection_id_limit":          func(p *wire.Params) { p.ActiveConnIDLimit-- },
		"initial_max_data":                    func(p *wire.Params) { p.MaxData-- },
		"initial_max_stream_data_bidi_local":  func(p *wire.Params) { p.MaxStreamLocal-- },
		"initial_max_stream_data_bidi_remote": func(p *wire.Params) { p.MaxStreamRemote-- },
		"initial_max_stream_data_uni":         func(p *wire.Params) { p.MaxStreamUni-- },
		"initial_max_streams_bidi":            func(p *wire.Params) { p.MaxStreamsBidi-- },
		"initial_max_streams_uni":             func(p *wire.Params) { p.MaxStreamsUni-- },
		"max_datagram_frame_size":             func(p *wire.Params) { p.MaxDatagramFrame-- },
	}
	for name, change := range lower {
		t.Run(name, func(t *testing.T) {
			r := resumingServer(t, change)
			r.openEarly("request")
			r.SendCrypto(Initial)
			r.SendCrypto(Handshake)
			r.WantClose("RFC 9000 §7.4.1: a lower limit", core.ProtocolViolation)
		})
	}
	t.Run("what may change", func(t *testing.T) {
		r := resumingServer(t, func(p *wire.Params) {
			p.MaxData++
			p.MaxIdleTimeout, p.MaxUDPPayload = time.Second, wire.MinInitialDatagram
		})
		s := r.openEarly("request")
		r.Connect()
		if r.Conn.Early() != core.EarlyAccepted {
			t.Errorf("0-RTT is %v, want accepted", r.Conn.Early())
		}
		if n, err := r.Conn.Write(s, []byte("more")); n != 4 || err != nil {
			t.Errorf("write after the handshake: %d, %v", n, err)
		}
	})
}

func TestRememberedLimitsHoldForEarlyData(t *testing.T) {
	r := resumingServer(t, nil)
	s := r.openEarly("x")
	for n := 1; n > 0; {
		n, _ = r.Conn.Write(s, make([]byte, 64<<10))
	}
	r.Flush()
	opened := 1
	for {
		if _, ok := r.Conn.Open(false); !ok {
			break
		}
		opened++
	}
	if opened != 100 {
		t.Errorf("RFC 9000 §7.4.1: %d early streams, want the 100 that the server allowed before", opened)
	}
	for _, p := range r.Replies {
		if p.Type == wire.Packet1RTT || p.Type == wire.PacketHandshake {
			t.Errorf("%v before the server answered", p.Type)
		}
	}
}

func TestMoreStreamsAreToldOnceTheServersLimitsAreThere(t *testing.T) {
	r := resumingServer(t, func(p *wire.Params) { p.MaxStreamsBidi = 200 })
	for range 101 {
		r.Conn.Open(false)
	}
	r.Connect()
	if !r.has(core.EventStreams) {
		t.Error("nobody learned that more streams can be opened")
	}
	if _, ok := r.Conn.Open(false); !ok {
		t.Error("stream 101 of 200 cannot be opened")
	}
}

// ticket is a NewSessionTicket message (RFC 8446 §4.6.1) for size bytes of
// early data.
func ticket(size uint32) []byte {
	b := []byte{4, 0, 0, 0}
	b = append(b, 0, 0, 1, 0)          // lifetime
	b = append(b, 1, 2, 3, 4, 0)       // age_add, no nonce
	b = append(b, 0, 3, 't', 'i', 'c') // ticket
	b = append(b, 0, 8, 0, 42, 0, 4)   // early_data
	b = binary.BigEndian.AppendUint32(b, size)
	b[3] = byte(len(b) - 4)
	return b
}

func TestTicketForLessEarlyDataThanAllIsAProtocolViolation(t *testing.T) {
	opts := RawOptions{Config: func(cfg *core.Config) { cfg.TLS.ClientSessionCache = tls.NewLRUClientSessionCache(1) }}
	for size, ok := range map[uint32]bool{0: true, 0xffffffff: true, 1: false, 0xfffffffe: false, 1 << 14: false} {
		r := NewRawServer(t, opts).Connect()
		r.Send(App, crypto(0, ticket(size)))
		if ok {
			r.WantOpen("RFC 9001 §4.6.1: a ticket")
			continue
		}
		r.WantClose("RFC 9001 §4.6.1: max_early_data_size", core.ProtocolViolation)
	}
}

func TestSessionsOfOtherVersionsAreNotOffered(t *testing.T) {
	p := earlyPair(t, 1, Options{})
	p.Client.Config.Versions = []wire.Version{0x1a2a3a4a}
	conn, err := core.NewClient(p.Clock.Now(), &p.Client.Config, p.Client.Addr.Addr(), p.Server.Addr)
	must(err)
	if conn.Early() != core.EarlyNone {
		t.Errorf("RFC 9369 §5: 0-RTT with a session of version 1 is %v in another version", conn.Early())
	}
	conn.Abandon(p.Clock.Now(), errors.New("test is over"))
}

func TestSessionsOfOtherProgramsAreNotOffered(t *testing.T) {
	p := earlyPair(t, 1, Options{})
	cache := p.Client.Config.TLS.ClientSessionCache
	cs, _ := cache.Get(Name)
	ticket, state, _ := cs.ResumptionState()
	for _, extra := range [][][]byte{nil, {[]byte("others")}, {state.Extra[0][:20]}, {append(state.Extra[0], 3, 1)}} {
		state.Extra = extra
		cs, _ = tls.NewResumptionState(ticket, state)
		cache.Put(Name, cs)
		c := p.Dial()
		get(t, p, c)
		if c.TLSState().DidResume || c.Early() != core.EarlyNone {
			t.Errorf("a session with %q beside it was used", extra)
		}
		cs, _ = tls.NewResumptionState(ticket, state)
		cache.Put(Name, cs)
	}
}

func TestVersionNegotiationRejectsEarlyData(t *testing.T) {
	p := earlyPair(t, 1, Options{Config: func(side netsim.Side, cfg *core.Config) {
		cfg.Versions, cfg.FirstVersion = []wire.Version{wire.Version2, wire.Version1}, wire.Version2
	}})
	p.Server.Router.Accept([]wire.Version{wire.Version1})
	p.Server.Config.Versions = []wire.Version{wire.Version1}
	c, f := p.dialEarly("100")
	if c.Early() != core.EarlyOffered {
		t.Fatalf("0-RTT is %v, want offered in version 2", c.Early())
	}
	get(t, p, c)
	if !errors.Is(f[0].Err, core.ErrEarlyRejected) || c.Version() != wire.Version1 || c.TLSState().DidResume {
		t.Errorf("RFC 9369 §5: early stream's error %v, version %v, resumed %v, want a full handshake in version 1", f[0].Err, c.Version(), c.TLSState().DidResume)
	}
}

func TestCallbacksSeeTheirContextAfterVersionNegotiation(t *testing.T) {
	type key struct{}
	seen := any(nil)
	r := NewRawServer(t, RawOptions{
		TLS: func(cfg *tls.Config) { cfg.ClientAuth = tls.RequestClientCert },
		Config: func(cfg *core.Config) {
			cfg.FirstVersion, cfg.Context = wire.Version2, context.WithValue(context.Background(), key{}, "value")
			cfg.TLS.GetClientCertificate = func(info *tls.CertificateRequestInfo) (*tls.Certificate, error) {
				seen = info.Context().Value(key{})
				return &tls.Certificate{}, nil
			}
		},
	})
	r.SendDatagram(r.negotiation(0x1a2a3a4a, wire.Version1))
	r.Connect()
	if seen != "value" {
		t.Errorf("callback of TLS found %v in its context, want the value", seen)
	}
}
