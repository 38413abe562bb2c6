package quictest

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/internal/wire"
	"github.com/seed51309289/quiver/netsim"
)

// resumable makes both sides of a Pair take part in resumption and 0-RTT.
func resumable(next func(side netsim.Side, cfg *core.Config)) func(side netsim.Side, cfg *core.Config) {
	return func(side netsim.Side, cfg *core.Config) {
		cfg.Early = true
		if side == netsim.Left {
			cfg.TLS.ClientSessionCache = tls.NewLRUClientSessionCache(4)
		} else {
			cfg.Guard = core.NewGuard(time.Time{})
		}
		if next != nil {
			next(side, cfg)
		}
	}
}

// earlyPair is a Pair whose client has a session of the server.
func earlyPair(t *testing.T, seed uint64, opts Options) *Pair {
	t.Helper()
	opts.Config = resumable(opts.Config)
	p := NewPair(t, seed, opts)
	serve(p)
	c := p.Dial()
	runUntil(t, p, "a ticket", func() bool {
		_, ok := p.Client.Config.TLS.ClientSessionCache.Get(Name)
		return ok && c.Confirmed
	})
	c.Close(p.Clock.Now(), 0, "")
	c.Flush()
	runUntil(t, p, "the first connection to end", func() bool { return c.Drained && p.Server.Conns[0].Drained })
	p.Client.Conns, p.Server.Conns = nil, nil
	return p
}

func runUntil(t *testing.T, p *Pair, what string, done func() bool) {
	t.Helper()
	if !p.Run(2*time.Minute, done) {
		t.Fatalf("seed %d: %s never came; client: %v, server: %v", p.Seed, what, errs(p.Client), errs(p.Server))
	}
}

// errs lists why connections ended.
func errs(e *Endpoint) (list []error) {
	for _, c := range e.Conns {
		list = append(list, c.Err())
	}
	return list
}

// dialEarly begins a connection with requests in its first flight.
func (p *Pair) dialEarly(requests ...string) (*Peer, []*Fetch) {
	p.t.Helper()
	conn, err := core.NewClient(p.Clock.Now(), &p.Client.Config, p.Client.Addr.Addr(), p.Server.Addr)
	must(err)
	c := p.Client.Add(conn)
	var all []*Fetch
	for _, r := range requests {
		s, ok := c.Open(false)
		if !ok {
			p.t.Fatal("the session allows no stream")
		}
		f := &Fetch{Stream: s, Request: []byte(r)}
		s.User = f
		c.Write(s, f.Request)
		c.CloseWrite(s)
		all = append(all, f)
	}
	c.OnEvent = func(e core.Event) {
		if f, ok := userOf(e.Stream); ok && e.Kind == core.EventReadable && !f.Done {
			f.Done = c.ReadInto(e.Stream, f)
		}
	}
	c.Flush()
	return c, all
}

func userOf(s *core.Stream) (*Fetch, bool) {
	if s == nil {
		return nil, false
	}
	f, ok := s.User.(*Fetch)
	return f, ok
}

func wantAnswers(t *testing.T, p *Pair, fetches []*Fetch) {
	t.Helper()
	for i, f := range fetches {
		if !f.Done || f.Err != nil || !bytes.Equal(f.Body.Bytes(), answer(f.Request)) {
			t.Errorf("seed %d: request %d: done %v, %d bytes, error %v, want %d bytes", p.Seed, i, f.Done, f.Body.Len(), f.Err, len(answer(f.Request)))
		}
	}
}

func allDone(fetches []*Fetch) func() bool {
	return func() bool {
		for _, f := range fetches {
			if !f.Done {
				return false
			}
		}
		return true
	}
}

// get fetches something on a connection that is established, or soon will be.
func get(t *testing.T, p *Pair, c *Peer) {
	t.Helper()
	runUntil(t, p, "the handshake", func() bool { return c.Established })
	f := c.Get([]byte("3000"))
	if f == nil {
		t.Fatal("no stream after the handshake")
	}
	if f.Stream.ID() != 0 && c.Early() == core.EarlyRejected {
		t.Errorf("RFC 9001 §4.6.2: first stream after the rejection is %d, want 0", f.Stream.ID())
	}
	runUntil(t, p, "an answer", func() bool { return f.Done })
	wantAnswers(t, p, []*Fetch{f})
}

func TestSessionResumesWithoutACertificate(t *testing.T) {
	p := earlyPair(t, 1, Options{})
	c := p.Dial()
	get(t, p, c)
	if !c.TLSState().DidResume || !p.Server.Conns[0].TLSState().DidResume {
		t.Error("RFC 9001 §4.5: the session did not resume")
	}
}

func TestEarlyDataIsAnsweredInOneRoundTrip(t *testing.T) {
	seeds(t, 5, func(t *testing.T, seed uint64) {
		p := earlyPair(t, seed, Options{})
		start := p.Clock.Now()
		c, f := p.dialEarly("100", "2000")
		if c.Early() != core.EarlyOffered {
			t.Fatalf("0-RTT is %v, want offered", c.Early())
		}
		runUntil(t, p, "answers", allDone(f))
		wantAnswers(t, p, f)
		if took := p.Clock.Now().Sub(start); took > 31*time.Millisecond {
			t.Errorf("answers took %v, want one round trip of 30ms", took)
		}
		runUntil(t, p, "confirmation", func() bool { return c.Confirmed && p.Server.Conns[0].Confirmed })
		if c.Early() != core.EarlyAccepted || p.Server.Conns[0].Early() != core.EarlyAccepted {
			t.Errorf("0-RTT is %v and %v, want accepted", c.Early(), p.Server.Conns[0].Early())
		}
	})
}

func TestFirstFlightIsCoalesced(t *testing.T) {
	var first [][]byte
	p := earlyPair(t, 1, Options{Tap: func(from netsim.Side, d []byte) []byte {
		if from == netsim.Left {
			first = append(first, bytes.Clone(d))
		}
		return d
	}})
	first = nil
	p.dialEarly("100")
	for _, d := range first {
		kinds := longTypes(d)
		if len(d) < wire.MinInitialDatagram {
			t.Errorf("RFC 9000 §14.1: %v in a datagram of %d bytes, want at least 1200", kinds, len(d))
		}
		if len(kinds) == 2 && kinds[0] == wire.PacketInitial && kinds[1] == wire.Packet0RTT {
			return
		}
	}
	t.Errorf("no datagram of %d has an Initial and a 0-RTT packet", len(first))
}

// longTypes lists the types of the packets of a datagram.
func longTypes(d []byte) (list []wire.PacketType) {
	var h wire.Header
	for len(d) > 0 && wire.IsLongHeader(d[0]) && wire.ParseLong(d, &h) {
		list = append(list, h.Type)
		d = d[h.Length:]
	}
	if len(d) > 0 {
		list = append(list, wire.Packet1RTT)
	}
	return list
}

func TestRejectedEarlyDataFailsItsStreamsOnly(t *testing.T) {
	for _, tc := range []struct {
		name string
		set  func(server *core.Config)
	}{
		{"server without 0-RTT", func(cfg *core.Config) { cfg.Early = false }},
		{"server without a guard", func(cfg *core.Config) { cfg.Guard = nil }},
		{"smaller window", func(cfg *core.Config) { cfg.ConnWindow-- }},
		{"fewer streams", func(cfg *core.Config) { cfg.MaxStreamsBidi-- }},
		{"HelloRetryRequest", func(cfg *core.Config) {
			cfg.TLS = cfg.TLS.Clone()
			cfg.TLS.CurvePreferences = []tls.CurveID{tls.CurveP256}
			cfg.TLS.SetSessionTicketKeys([][32]byte{{1}})
		}},
		{"new ticket keys", func(cfg *core.Config) {
			cfg.TLS = cfg.TLS.Clone()
			cfg.TLS.SetSessionTicketKeys([][32]byte{{1}})
		}},
		{"server that forgot what it took", func(cfg *core.Config) { cfg.Guard = core.NewGuard(time.Now().Add(1e6 * time.Hour)) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := earlyPair(t, 1, Options{})
			tc.set(&p.Server.Config)
			c, f := p.dialEarly("100000", "100000", "5")
			var served []*core.Stream
			p.Server.OnConn = func(peer *Peer) {
				peer.Serve(func(request []byte) []byte { return answer(request) })
				inner := peer.OnEvent
				peer.OnEvent = func(e core.Event) {
					if e.Kind == core.EventOpened && !peer.Established {
						served = append(served, e.Stream)
					}
					inner(e)
				}
			}
			get(t, p, c)
			if c.Early() != core.EarlyRejected {
				t.Errorf("0-RTT is %v, want rejected", c.Early())
			}
			for i, f := range f {
				if !f.Done || !errors.Is(f.Err, core.ErrEarlyRejected) {
					t.Errorf("early stream %d: done %v, error %v, want %v", i, f.Done, f.Err, core.ErrEarlyRejected)
				}
				if _, err := c.Write(f.Stream, []byte("x")); !errors.Is(err, core.ErrEarlyRejected) {
					t.Errorf("write to early stream %d: %v, want %v", i, err, core.ErrEarlyRejected)
				}
				c.CloseWrite(f.Stream)
				c.Reset(f.Stream, 1)
				c.Stop(p.Clock.Now(), f.Stream, 1)
			}
			if len(served) > 0 {
				t.Errorf("server saw %d early streams, want none", len(served))
			}
			c.Flush()
			get2 := c.Get([]byte("400000"))
			runUntil(t, p, "a long answer", func() bool { return get2.Done })
			wantAnswers(t, p, []*Fetch{get2})
		})
	}
}

// TestHelloRetryRequestCostsTheSessionAtMost is about a mistake of crypto/tls,
// whose second ClientHello does not authenticate after an offer of 0-RTT: the
// connection may fail, the one after it must not.
func TestHelloRetryRequestCostsTheSessionAtMost(t *testing.T) {
	p := earlyPair(t, 1, Options{})
	p.Server.Config.TLS.CurvePreferences = []tls.CurveID{tls.CurveP256}
	c, f := p.dialEarly("100")
	runUntil(t, p, "an end", func() bool { return c.Established || c.Closed })
	if !f[0].Done || !errors.Is(f[0].Err, core.ErrEarlyRejected) {
		t.Errorf("early stream: done %v, error %v, want %v", f[0].Done, f[0].Err, core.ErrEarlyRejected)
	}
	get(t, p, p.Dial())
}

func TestLostEarlyPacketsAreSentAgain(t *testing.T) {
	seeds(t, 20, func(t *testing.T, seed uint64) {
		var p *Pair
		lossy, left := false, 1+seed%6
		drop := func(from netsim.Side, d []byte) []byte {
			for _, k := range longTypes(d) {
				if lossy && from == netsim.Left && k == wire.Packet0RTT && left > 0 {
					left--
					return nil
				}
			}
			return d
		}
		p = earlyPair(t, seed, Options{Tap: drop})
		lossy = true
		_, f := p.dialEarly("100", "20000", fmt.Sprint(seed))
		runUntil(t, p, "answers", allDone(f))
		wantAnswers(t, p, f)
	})
}

func TestEarlyDataOverAHarshLink(t *testing.T) {
	seeds(t, 20, func(t *testing.T, seed uint64) {
		link := netsim.LinkConfig{Delay: 15 * time.Millisecond, Loss: 0.2, Duplicate: 0.1, Reorder: 0.2}
		p := earlyPair(t, seed, bothWays(link))
		c, f := p.dialEarly("100", "20000", "3")
		runUntil(t, p, "answers", allDone(f))
		if c.Early() == core.EarlyAccepted {
			wantAnswers(t, p, f)
		}
	})
}

func TestEarlyDataIsSentAgainAfterARetry(t *testing.T) {
	var initials, early []uint32
	p := earlyPair(t, 1, Options{Retry: true, Tap: func(from netsim.Side, d []byte) []byte {
		var h wire.Header
		if from == netsim.Left && wire.IsLongHeader(d[0]) && wire.ParseLong(d, &h) && h.Type == wire.PacketInitial {
			initials = append(initials, uint32(len(h.Token)))
			for _, k := range longTypes(d) {
				if k == wire.Packet0RTT {
					early = append(early, uint32(len(h.Token)))
				}
			}
		}
		return d
	}})
	initials, early = nil, nil
	c, f := p.dialEarly("100")
	runUntil(t, p, "an answer", allDone(f))
	wantAnswers(t, p, f)
	if c.Early() != core.EarlyAccepted {
		t.Errorf("0-RTT is %v, want accepted", c.Early())
	}
	if len(early) < 2 || early[0] != 0 || early[len(early)-1] == 0 {
		t.Errorf("RFC 9000 §17.2.5.3: early data next to Initials with tokens of %v bytes, want none first, then one", early)
	}
}

// firstFlight records what a client sends before it hears of the server.
func firstFlight(t *testing.T) (p *Pair, flight [][]byte) {
	record := false
	p = earlyPair(t, 1, Options{Tap: func(from netsim.Side, d []byte) []byte {
		if record && from == netsim.Left {
			flight = append(flight, bytes.Clone(d))
		}
		return d
	}})
	record = true
	c, f := p.dialEarly("100")
	record = false
	runUntil(t, p, "an answer", allDone(f))
	c.Close(p.Clock.Now(), 0, "")
	c.Flush()
	runUntil(t, p, "the end", func() bool { return c.Drained && p.Server.Conns[0].Drained })
	p.Client.Conns, p.Server.Conns = nil, nil
	return p, flight
}

// replay sends a recorded flight to the server and returns what it opened.
func replay(p *Pair, flight [][]byte) (opened int) {
	p.Server.OnConn = func(peer *Peer) {
		peer.OnEvent = func(e core.Event) {
			if e.Kind == core.EventOpened {
				opened++
			}
		}
	}
	for _, d := range flight {
		p.Server.Receive(&netsim.Packet{Data: bytes.Clone(d), Src: p.Client.Addr, Dst: p.Server.Addr})
	}
	p.Run(3*time.Minute, func() bool { return false }) // the handshake never ends
	return opened
}

func TestReplayedFirstFlightIsNotTaken(t *testing.T) {
	p, flight := firstFlight(t)
	for range 3 {
		if n := replay(p, flight); n != 0 {
			t.Fatalf("RFC 9001 §9.2: a replayed flight opened %d streams, want none", n)
		}
	}
	if len(p.Server.Conns) != 3 || p.Server.Conns[0].Early() != core.EarlyNone {
		t.Errorf("server has %d connections, want 3 whose handshakes go on without 0-RTT", len(p.Server.Conns))
	}
}

// TestReplayToAnotherServerIsTakenOnce shows the limit of a Guard that is not
// shared: it is what RFC 8446 §8.2 says of servers that share ticket keys only.
func TestReplayToAnotherServerIsTakenOnce(t *testing.T) {
	p, flight := firstFlight(t)
	p.Server.Forget()
	p.Server.Config.Guard = core.NewGuard(time.Time{})
	if n := replay(p, flight); n != 1 {
		t.Fatalf("the second server opened %d streams, want 1", n)
	}
	if n := replay(p, flight); n != 0 {
		t.Fatalf("its second replay opened %d streams, want none", n)
	}
}

func TestKeyLogHasTheEarlySecretOfBothSides(t *testing.T) {
	var logs [2]bytes.Buffer
	p := earlyPair(t, 1, Options{Config: func(side netsim.Side, cfg *core.Config) { cfg.TLS.KeyLogWriter = &logs[side] }})
	logs[0].Reset()
	logs[1].Reset()
	_, f := p.dialEarly("100")
	runUntil(t, p, "an answer", allDone(f))
	var lines [2][]string
	for side := range logs {
		for line := range bytes.Lines(logs[side].Bytes()) {
			if bytes.HasPrefix(line, []byte("CLIENT_EARLY_TRAFFIC_SECRET ")) {
				lines[side] = append(lines[side], string(line))
			}
		}
	}
	if len(lines[0]) != 1 || len(lines[1]) != 1 || lines[0][0] != lines[1][0] {
		t.Fatalf("early secrets are %q at the client and %q at the server, want one line, the same", lines[0], lines[1])
	}
	random := bytes.Fields([]byte(lines[0][0]))[1]
	if !bytes.Contains(logs[0].Bytes(), append([]byte("CLIENT_HANDSHAKE_TRAFFIC_SECRET "), random...)) {
		t.Errorf("client random %s is not that of the other secrets:\n%s", random, logs[0].Bytes())
	}
}

// rawEarly is a RawPeer that plays a client with a session for 0-RTT; its hello
// is sent.
func rawEarly(t *testing.T, change ...func(cfg *core.Config)) *RawPeer {
	t.Helper()
	cache := tls.NewLRUClientSessionCache(1)
	var server *tls.Config
	opts := RawOptions{
		TLS: func(cfg *tls.Config) { cfg.ClientSessionCache = cache; cfg.InsecureSkipVerify = true },
		Config: func(cfg *core.Config) {
			cfg.Early, cfg.Guard = true, core.NewGuard(time.Time{})
			if server == nil {
				server = cfg.TLS
			}
			cfg.TLS = server
			for _, f := range change {
				f(cfg)
			}
		},
		Params: func(p *wire.Params) {
			if len(change) > 0 {
				p.Plugins = announced
			}
		},
	}
	first := NewRawClient(t, opts)
	first.Connect()
	opts.Seed = 2
	r := NewRawClient(t, opts)
	if r.early == nil {
		t.Fatal("the server's ticket is not good for 0-RTT")
	}
	r.AutoAck = false
	r.SendCrypto(Initial)
	if r.Conn.Early() != core.EarlyAccepted {
		t.Fatalf("0-RTT is %v, want accepted", r.Conn.Early())
	}
	return r
}

func (r *RawPeer) sendEarly(frames ...[]byte) {
	r.t.Helper()
	r.SendDatagram(r.EarlyPacket(r.NextNumber(App), frames...))
}

func TestFrameForbiddenIn0RTTIsAProtocolViolation(t *testing.T) {
	for _, f := range anyFrame {
		t.Run(f.name, func(t *testing.T) {
			r := rawEarly(t)
			r.sendEarly(f.frame)
			ok := allowed(f.where, '0')
			var local *core.LocalError
			violated := errors.As(r.Conn.Err(), &local) && local.Code == uint64(core.ProtocolViolation)
			if violated == ok {
				t.Errorf("RFC 9000 §12.5: allowed is %v, connection: %v", ok, r.Conn.Err())
			}
		})
	}
}

func TestEarlyPacketsShareTheirNumbersWith1RTT(t *testing.T) {
	r := rawEarly(t)
	r.sendEarly(stream(0, 0, "ab", false))
	r.SendDatagram(r.EarlyPacket(0, stream(0, 2, "again", false)))
	r.SendCrypto(Handshake)
	r.Send(App, stream(0, 2, "cd", true))
	var buf [8]byte
	if n, _ := r.Conn.Read(r.Clock.Now(), r.Opened[0], buf[:]); string(buf[:n]) != "abcd" {
		t.Errorf("RFC 9000 §12.3: read %q, want abcd: number 0 was used", buf[:n])
	}
}

func TestServerAcknowledgesEarlyDataBeforeTheHandshakeEnds(t *testing.T) {
	r := rawEarly(t)
	r.Replies = nil
	r.sendEarly(stream(0, 0, "request", true))
	r.Advance(30 * time.Millisecond)
	if r.Conn.Established() {
		t.Fatal("the handshake is complete")
	}
	p, _ := r.WantFrame("RFC 9000 §13.2.1: early data is acknowledged", wire.FrameAck)
	for p.Type != wire.Packet1RTT {
		p, _ = r.WantFrame("in a 1-RTT packet", wire.FrameAck)
	}
}

func TestServerReadsNo1RTTDataBeforeTheHandshakeEndsDespite0RTT(t *testing.T) {
	r := rawEarly(t)
	r.Send(App, stream(0, 0, "too soon", false))
	if len(r.Opened) > 0 {
		t.Fatal("RFC 9001 §5.7: 1-RTT data before the handshake is complete")
	}
}

func TestServerDropsEarlyKeysSomeTimeAfterTheHandshake(t *testing.T) {
	r := rawEarly(t)
	late := r.EarlyPacket(r.NextNumber(App), stream(0, 0, "reordered", false))
	r.SendCrypto(Handshake)
	r.SendDatagram(late)
	if len(r.Opened) != 1 {
		t.Fatal("RFC 9001 §4.9.3: a reordered 0-RTT packet was not read right after the handshake")
	}
	r.Advance(10 * time.Second)
	r.sendEarly(stream(4, 0, "much later", false))
	if len(r.Opened) != 1 {
		t.Error("RFC 9001 §4.9.3: a 0-RTT packet was read long after the handshake")
	}
}

func TestHeldEarlyPacketsAreReadOnceTheHelloIsThere(t *testing.T) {
	r := rawEarlyBeforeHello(t)
	hello := r.sp[Initial].out
	r.Send(Initial, crypto(0, hello[:700]))
	r.sendEarly(stream(0, 0, "held", true))
	if len(r.Opened) > 0 {
		t.Fatal("0-RTT data without keys")
	}
	r.Send(Initial, crypto(700, hello[700:]))
	if len(r.Opened) != 1 {
		t.Error("RFC 9001 §5.7: the 0-RTT packet was not kept until its keys came")
	}
}

// rawEarlyBeforeHello is rawEarly without the hello.
func rawEarlyBeforeHello(t *testing.T) *RawPeer {
	t.Helper()
	p := rawEarly(t)
	opts := p.opts
	opts.Seed = 3
	r := NewRawClient(t, opts)
	r.AutoAck = false
	return r
}
