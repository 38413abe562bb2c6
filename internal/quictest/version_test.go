package quictest

import (
	"bytes"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/internal/crypt"
	"github.com/seed51309289/quiver/internal/wire"
	"github.com/seed51309289/quiver/netsim"
)

// negotiation is a Version Negotiation packet for the RawPeer's client.
func (r *RawPeer) negotiation(versions ...wire.Version) []byte {
	return wire.AppendVersionNegotiation(nil, 0, r.odcid, r.DCID, versions)
}

func TestClientGivesUpWithoutACommonVersion(t *testing.T) {
	r := NewRawServer(t, RawOptions{})
	r.SendDatagram(r.negotiation(0x1a2a3a4a, 0xff00001d))
	var ve *core.VersionError
	if !errors.As(r.Conn.Err(), &ve) || len(ve.Theirs) != 2 || !r.has(core.EventDrained) {
		t.Fatalf("RFC 9000 §6.2: got %v, want a version error at once", r.Conn.Err())
	}
}

func TestClientTriesAnotherVersion(t *testing.T) {
	opts := RawOptions{Config: func(cfg *core.Config) { cfg.FirstVersion = wire.Version2 }}
	r := NewRawServer(t, opts)
	r.Replies = nil
	if r.Conn.Answered() {
		t.Error("answered before anything came")
	}
	r.SendDatagram(r.negotiation(0x1a2a3a4a, wire.Version1))
	if !r.Conn.Answered() || r.Conn.Heard() {
		t.Error("Version Negotiation is an answer that proves nothing: want Answered and not Heard")
	}
	if got := r.Conn.Version(); got != wire.Version1 {
		t.Fatalf("RFC 9000 §6.2: version %v, want 1; %v", got, r.Conn.Err())
	}
	r.Connect()
}

func TestForgedVersionNegotiationIsIgnored(t *testing.T) {
	tests := []struct {
		name   string
		packet func(r *RawPeer) []byte
	}{
		{"it lists the chosen version", func(r *RawPeer) []byte { return r.negotiation(0xff00001d, wire.Version1) }},
		{"wrong destination ID", func(r *RawPeer) []byte {
			return wire.AppendVersionNegotiation(nil, 0, r.odcid, []byte("wrongone"), []wire.Version{0xff00001d})
		}},
		{"wrong source ID", func(r *RawPeer) []byte {
			return wire.AppendVersionNegotiation(nil, 0, []byte("wrongone"), r.DCID, []wire.Version{0xff00001d})
		}},
		{"half a version", func(r *RawPeer) []byte { return append(r.negotiation(0xff00001d), 1, 2) }},
		{"no version", func(r *RawPeer) []byte { return r.negotiation() }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := NewRawServer(t, RawOptions{})
			r.SendDatagram(tt.packet(r))
			r.WantOpen("RFC 9000 §6.2, §17.2.1")
			r.Connect()
		})
	}
	t.Run("after another packet", func(t *testing.T) {
		r := NewRawServer(t, RawOptions{})
		vn := r.negotiation(0xff00001d)
		r.Send(Initial, frame(wire.FramePing))
		r.SendDatagram(vn)
		r.WantOpen("RFC 9000 §6.2: it comes too late")
	})
	t.Run("at a server", func(t *testing.T) {
		r := reach(t, false, Initial)
		r.SendDatagram(wire.AppendVersionNegotiation(nil, 0, r.SCID, r.DCID, []wire.Version{0xff00001d}))
		r.WantOpen("only servers send it")
	})
}

// retry is a Retry packet for the RawPeer's client.
func (r *RawPeer) retry(scid, token []byte) []byte {
	pkt := wire.AppendRetry(nil, r.version, 0, r.DCID, scid, token)
	tag := crypt.RetryTag(r.version, pkt, r.odcid)
	return append(pkt, tag[:]...)
}

func TestClientObeysARetry(t *testing.T) {
	r := NewRawServer(t, RawOptions{Params: func(p *wire.Params) { p.RetrySCID = []byte("retrycid") }})
	last := r.Replies[len(r.Replies)-1].Number
	r.Replies = nil
	r.SCID = []byte("retrycid")
	r.rekey()
	r.SendDatagram(r.retry(r.SCID, []byte("token")))
	if !r.Conn.Answered() || r.Conn.Heard() {
		t.Error("a Retry is an answer that proves little: want Answered and not Heard")
	}
	if len(r.Replies) == 0 {
		t.Fatal("RFC 9000 §17.2.5: no second hello")
	}
	for _, p := range r.Replies {
		if p.DCID != "retrycid" || p.Token != "token" {
			t.Errorf("RFC 9000 §17.2.5.1: Initial to %q with token %q", p.DCID, p.Token)
		}
		if p.Number <= last {
			t.Errorf("RFC 9000 §17.2.5.3: packet number %d again", p.Number)
		}
		if p.Size < wire.MinInitialDatagram {
			t.Errorf("RFC 9000 §14.1: datagram of %d bytes", p.Size)
		}
	}
}

func TestForgedRetryIsIgnored(t *testing.T) {
	scid, token := []byte("retrycid"), []byte("token")
	tests := []struct {
		name   string
		packet func(r *RawPeer) []byte
	}{
		{"empty token", func(r *RawPeer) []byte { return r.retry(scid, nil) }},
		{"the ID that the client chose", func(r *RawPeer) []byte { return r.retry(r.odcid, token) }},
		{"truncated", func(r *RawPeer) []byte { return r.retry(scid, token)[:30] }},
		{"wrong destination ID", func(r *RawPeer) []byte { r.DCID = []byte("wrongone"); return r.retry(scid, token) }},
	}
	pkt := NewRawServer(t, RawOptions{}).retry(scid, token)
	for i := range len(pkt) {
		tests = append(tests, struct {
			name   string
			packet func(r *RawPeer) []byte
		}{"flipped byte", func(r *RawPeer) []byte { p := r.retry(scid, token); p[i] ^= 1; return p }})
	}
	for _, tt := range tests {
		r := NewRawServer(t, RawOptions{})
		r.Replies = nil
		r.SendDatagram(tt.packet(r))
		if r.Conn.Answered() {
			t.Errorf("%s is an answer", tt.name)
		}
		if len(r.Replies) > 0 {
			t.Errorf("RFC 9000 §17.2.5.2: %s was obeyed: %v", tt.name, r.Describe())
		}
		r.WantOpen("and harms nothing")
	}
}

func TestSecondRetryIsIgnored(t *testing.T) {
	r := NewRawServer(t, RawOptions{})
	r.SendDatagram(r.retry([]byte("retrycid"), []byte("token")))
	r.Replies, r.odcid = nil, []byte("retrycid")
	r.SendDatagram(r.retry([]byte("retrytwo"), []byte("token")))
	r.WantSilence("RFC 9000 §17.2.5.2: one Retry at most")
}

func TestRetryAfterAnotherPacketIsIgnored(t *testing.T) {
	r := NewRawServer(t, RawOptions{})
	r.Send(Initial, frame(wire.FramePing))
	r.Replies = nil
	r.SendDatagram(r.retry([]byte("retrycid"), []byte("token")))
	r.WantSilence("RFC 9000 §17.2.5.2: too late")
}

func TestMissingRetrySourceIDIsAnError(t *testing.T) {
	r := NewRawServer(t, RawOptions{})
	r.SCID = []byte("retrycid")
	r.rekey()
	first := r.odcid
	r.SendDatagram(r.retry(r.SCID, []byte("token")))
	_ = first
	wantHandshakeFails(t, r, "RFC 9000 §7.3: retry_source_connection_id is missing", core.TransportParameterError)
}

// rekey moves a server's RawPeer to the Initial keys of its own ID, as after a
// Retry. The Retry itself is still tagged for the first ID.
func (r *RawPeer) rekey() {
	r.initialID = r.SCID
	r.sp[Initial].read, r.sp[Initial].write = r.initialKeys(r.version)
}

func TestRetryRoundTrip(t *testing.T) {
	p := NewPair(t, Seed(t, 3), Options{Retry: true})
	serve(p)
	runTransfer(t, p, []byte("10000"))
	if n := len(p.Server.Conns); n != 1 {
		t.Errorf("%d connections at the server, want 1", n)
	}
}

func TestServerMakesNoStateBeforeTheTokenComesBack(t *testing.T) {
	r := NewRawClient(t, RawOptions{Retry: true})
	hello := r.sp[Initial].out
	r.Send(Initial, crypto(0, hello[:900]))
	r.Send(Initial, crypto(900, hello[900:]))
	if r.Conn != nil || r.Router.Len() != 0 {
		t.Fatal("RFC 9000 §8.1.2: a connection without a token")
	}
	if len(r.Replies) != 2 || r.Replies[0].Type != wire.PacketRetry {
		t.Fatalf("got %v, want a Retry for each Initial", r.Describe())
	}
	var h wire.Header
	wire.ParseLong(r.Replies[0].Raw, &h)
	if !crypt.ValidRetry(wire.Version1, r.Replies[0].Raw, []byte("original")) || len(h.SCID) != core.LocalIDLen {
		t.Errorf("Retry %x", r.Replies[0].Raw)
	}
}

// afterRetry sends a hello that answers the Retry, after spoil had its way with
// the token.
func afterRetry(r *RawPeer, spoil func(token []byte) []byte) {
	hello := r.sp[Initial].out
	r.Send(Initial, crypto(0, hello[:900]))
	var h wire.Header
	wire.ParseLong(r.Replies[0].Raw, &h)
	r.Replies = nil
	r.Token = spoil(bytes.Clone(h.Token))
	r.Reconnect(bytes.Clone(h.SCID))
	r.Send(Initial, crypto(0, hello[:900]))
	if r.Conn != nil {
		r.Send(Initial, crypto(900, hello[900:]))
	}
}

func TestRetryTokenIsTakenOnce(t *testing.T) {
	keep := func(b []byte) []byte { return b }
	r := NewRawClient(t, RawOptions{Retry: true})
	afterRetry(r, keep)
	if r.Conn == nil {
		t.Fatal("RFC 9000 §8.1.2: the token was not taken")
	}
	r.sp[Initial].out = nil
	r.SendCrypto(Handshake)
	if p := r.Params(); string(p.OriginalDCID) != "original" || len(p.RetrySCID) != core.LocalIDLen {
		t.Errorf("RFC 9000 §7.3: parameters %+v", p)
	}
}

func TestBadRetryTokensAreRefused(t *testing.T) {
	spoil := map[string]func(r *RawPeer, b []byte) []byte{
		"expired":         func(r *RawPeer, b []byte) []byte { r.Clock.Advance(time.Minute); return b },
		"another address": func(r *RawPeer, b []byte) []byte { r.local = r.remote; return b },
		"truncated":       func(r *RawPeer, b []byte) []byte { return b[:len(b)-1] },
		"garbage":         func(r *RawPeer, b []byte) []byte { return []byte("garbage") },
	}
	r := NewRawClient(t, RawOptions{Retry: true})
	var size int
	afterRetry(r, func(b []byte) []byte { size = len(b); return b })
	for i := range size {
		spoil["flipped byte "+string(rune('0'+i/10))+string(rune('0'+i%10))] = func(r *RawPeer, b []byte) []byte { b[i] ^= 1; return b }
	}
	for name, f := range spoil {
		r := NewRawClient(t, RawOptions{Retry: true})
		afterRetry(r, func(b []byte) []byte { return f(r, b) })
		if r.Conn != nil {
			t.Errorf("RFC 9000 §8.1.2: a token that is %s was taken", name)
		}
	}
}

func TestClientLearnsThatItsRetryTokenIsInvalid(t *testing.T) {
	for name, f := range map[string]func(r *RawPeer){
		"expired":         func(r *RawPeer) { r.Clock.Advance(time.Minute) },
		"another address": func(r *RawPeer) { r.local = r.remote },
	} {
		t.Run(name, func(t *testing.T) {
			r := NewRawClient(t, RawOptions{Retry: true})
			afterRetry(r, func(b []byte) []byte { f(r); return b })
			_, f := r.WantFrame("RFC 9000 §8.1.3: the client will not obey another Retry", wire.FrameConnectionClose)
			if core.Code(f.Code) != core.InvalidToken || r.Conn != nil {
				t.Errorf("closed with %v, want INVALID_TOKEN and no connection", core.Code(f.Code))
			}
		})
	}
}

func TestStatelessResetEndsTheConnection(t *testing.T) {
	p := NewPair(t, Seed(t, 4), Options{})
	serve(p)
	runTransfer(t, p, []byte("1000"))
	c := p.Client.Conns[0]
	p.Server.Forget()
	f := c.Get([]byte("1000"))
	p.Run(10*time.Second, func() bool { return c.Closed })
	var reset *core.StatelessResetError
	if !errors.As(c.Err(), &reset) || f.Done && f.Err == nil {
		t.Fatalf("RFC 9000 §10.3: client got %v, want a stateless reset", c.Err())
	}
}

func TestStatelessResetLooksLikeAnyPacket(t *testing.T) {
	r := NewRawClient(t, RawOptions{}).Connect()
	for size := 1; size < 200; size++ {
		d := core.Datagram{Data: append([]byte{0x40}, make([]byte, size-1)...), Remote: r.local}
		route := r.Router.Route(r.Clock.Now(), &d)
		if size < 22 {
			if route.Kind != core.RouteDrop {
				t.Errorf("RFC 9000 §10.3: a reset for %d bytes", size)
			}
			continue
		}
		if route.Kind != core.RouteReply {
			t.Fatalf("no reset for %d bytes", size)
		}
		if n := len(route.Reply); n >= size || n < 21 || route.Reply[0]&0xc0 != 0x40 {
			t.Errorf("RFC 9000 §10.3: reset of %d bytes, first %#x, for %d", n, route.Reply[0], size)
		}
	}
}

func TestResetTokensOfIssuedIDsWork(t *testing.T) {
	testSides(t, RawOptions{}, func(t *testing.T, r *RawPeer) {
		token := []byte("0000000000000001")
		r.Send(App, newID(1, 0))
		r.SendDatagram(append(append([]byte{0x40}, make([]byte, 30)...), token...))
		r.WantOpen("RFC 9000 §10.3.1: the token of an ID that was not used yet")
		r.Send(App, newID(2, 1))
		r.SendDatagram(append(append([]byte{0x40}, make([]byte, 30)...), token...))
		var reset *core.StatelessResetError
		if !errors.As(r.Conn.Err(), &reset) {
			t.Fatalf("RFC 9000 §10.3.1: got %v, want a stateless reset", r.Conn.Err())
		}
	})
}

func TestResetTokenFromAnotherAddressMeansNothing(t *testing.T) {
	testSides(t, RawOptions{}, func(t *testing.T, r *RawPeer) {
		r.Send(App, newID(1, 1))
		own := r.local
		r.local = netip.AddrPortFrom(own.Addr(), own.Port()+1)
		r.SendDatagram(append(append([]byte{0x40}, make([]byte, 30)...), "0000000000000001"...))
		r.WantOpen("RFC 9000 §10.3.1: a token counts for the address that it belongs to")
		r.local = own
		r.SendDatagram(append(append([]byte{0x40}, make([]byte, 30)...), "0000000000000001"...))
		if r.Conn.Err() == nil {
			t.Error("the same from the peer's address is a reset")
		}
	})
}

func TestRetiredResetTokensDoNot(t *testing.T) {
	testSides(t, RawOptions{}, func(t *testing.T, r *RawPeer) {
		r.Send(App, newID(1, 0))
		r.Send(App, newID(2, 2))
		r.SendDatagram(append(append([]byte{0x40}, make([]byte, 30)...), "0000000000000001"...))
		r.WantOpen("RFC 9000 §10.3.1: the token of a retired ID")
		for n := range 20 { // too short to be a reset
			r.SendDatagram(append(append([]byte{0x40}, make([]byte, n)...), "0000000000000002"...)[:min(20, 17+n)])
		}
		r.WantOpen("RFC 9000 §10.3: too short for a reset")
	})
}

func TestTwoEndpointsDoNotResetEachOtherForEver(t *testing.T) {
	p := NewPair(t, Seed(t, 5), Options{})
	p.Client.Send(append([]byte{0x40}, make([]byte, 1000)...), 0, p.Server.Addr, 0)
	p.Run(time.Minute, func() bool { return false })
	if st := p.Sim.Stats(); st.ToServer.Packets+st.ToClient.Packets > 30 {
		t.Errorf("RFC 9000 §21.11: %d packets", st.ToServer.Packets+st.ToClient.Packets)
	}
}

// TestRepliesWithoutConnectionAreRateLimited fills the core's maxRepliesPerSecond.
func TestRepliesWithoutConnectionAreRateLimited(t *testing.T) {
	r := NewRawClient(t, RawOptions{})
	resets := 0
	for range 5000 {
		d := core.Datagram{Data: append([]byte{0x40}, make([]byte, 100)...), Remote: r.local}
		if r.Router.Route(r.Clock.Now(), &d).Kind == core.RouteReply {
			resets++
		}
	}
	if resets == 0 || resets > 1000 {
		t.Errorf("RFC 9000 §10.3.3: %d resets in a second, want at most 1000", resets)
	}
	r.Clock.Advance(time.Second)
	d := core.Datagram{Data: append([]byte{0x40}, make([]byte, 100)...), Remote: r.local}
	if r.Router.Route(r.Clock.Now(), &d).Kind != core.RouteReply {
		t.Error("no reset in the next second")
	}
}

func TestDuplicateInitialsMakeOneConnection(t *testing.T) {
	opts := bothWays(netsim.LinkConfig{Delay: 15 * time.Millisecond, Duplicate: 1, Reorder: 0.3, ReorderBy: 100 * time.Millisecond})
	for seed := range uint64(20) {
		p := NewPair(t, seed, opts)
		serve(p)
		runTransfer(t, p, []byte("10000"))
		p.Run(5*time.Second, func() bool { return false })
		if n := len(p.Server.Conns); n != 1 {
			t.Errorf("seed %d: %d connections at the server, want 1", seed, n)
		}
	}
}
