package core_test

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/internal/quictest"
	"github.com/seed51309289/quiver/internal/wire"
	"github.com/seed51309289/quiver/netsim"
)

// oracle is a pair of extensions that share a memory, which no code on the network
// has: the sender's half keeps the content of every packet, the receiver's half
// hands in what has not arrived a while later and tells the sender's.
type oracle struct {
	sender, receiver *probe
	sent             map[uint64][]byte
	at               map[uint64]hook.Instant
	told             map[uint64]bool
	recovered        []uint64
	delivered        int
}

func newOracle(after time.Duration) *oracle {
	o := &oracle{
		sender: newProbe("org.example.oracle", hook.OpSendPayload, hook.OpTimer, hook.OpAppCall), receiver: newProbe("org.example.oracle", hook.OpTimer, hook.OpAppCall),
		sent: map[uint64][]byte{}, at: map[uint64]hook.Instant{}, told: map[uint64]bool{},
	}
	o.sender.info.Payload = true
	o.sender.sealing = func(p *hook.SentPayload) { o.sent[p.Packet], o.at[p.Packet] = bytes.Clone(p.Frames), p.Now }
	tick := func(p *probe, f func(now hook.Instant)) {
		p.attach = func(*hook.AttachState) error { return p.conn.SetTimer(1, 0) }
		p.timer = func(uint32) {
			now, _ := p.conn.Get(hook.FieldNow, 0)
			f(hook.Instant(now))
			p.conn.SetTimer(1, 0)
		}
	}
	tick(o.receiver, func(now hook.Instant) {
		for _, pn := range slices.Sorted(mapKeys(o.sent)) {
			if o.at[pn].Add(after) < now && !o.told[pn] && o.receiver.conn.Recovered(0, pn, o.sent[pn]) == nil {
				o.recovered, o.told[pn] = append(o.recovered, pn), true
			}
		}
	})
	tick(o.sender, func(hook.Instant) {
		for _, pn := range o.recovered {
			if o.sender.conn.Delivered(0, pn) == nil {
				o.delivered++
			}
		}
		o.recovered = nil
	})
	return o
}

func mapKeys[V any](m map[uint64]V) func(func(uint64) bool) {
	return func(yield func(uint64) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func TestRecoveredPacketsAreNotSentAgainButCountAsLost(t *testing.T) {
	seed := quictest.Seed(t, 30)
	const size = 1 << 20
	want := make([]byte, size)
	rand.NewChaCha8([32]byte{1}).Read(want)
	var resent, lost [2]uint64
	for i := range resent {
		e := connect(t, seed, quictest.Options{ToServer: lossy(0).ToServer, ToClient: lossy(0.05).ToClient})
		o := newOracle(25 * time.Millisecond)
		if i == 1 {
			e.attachBoth(o.receiver, o.sender)
		}
		before := e.server.Stats()
		e.server.Serve(func([]byte) []byte { return want })
		f := e.client.Get([]byte("go"))
		if !e.Run(time.Minute, func() bool { return f.Done }) || !bytes.Equal(f.Body.Bytes(), want) {
			t.Fatalf("seed %d: %d bytes came, or wrong ones", seed, f.Body.Len())
		}
		s := e.server.Stats()
		resent[i], lost[i] = s.BytesResent-before.BytesResent, s.PacketsLost-before.PacketsLost
		if i == 1 {
			x, y := e.client.ExtensionStats(nil)[0], e.server.ExtensionStats(nil)[0]
			t.Logf("recovered %d, delivered %d of %d, %d lost, %d bytes resent (%d without)", x.Recovered, y.Delivered, o.delivered, lost[1], resent[1], resent[0])
			if x.Recovered < 20 || y.Delivered < 20 || y.Delivered > uint64(o.delivered) {
				t.Errorf("seed %d: %d packets were recovered, %d delivered", seed, x.Recovered, y.Delivered)
			}
		}
		e.wantAlive()
	}
	if resent[1]*5 > resent[0] || lost[1] < 20 {
		t.Errorf("seed %d: %d bytes were sent again, %d without recovery; %d packets count as lost", seed, resent[1], resent[0], lost[1])
	}
}

// TestWhatIsLostAlreadyCanStillBeDelivered tells the sender after it found the
// loss: what waits to be sent again is not sent.
func TestWhatIsLostAlreadyCanStillBeDelivered(t *testing.T) {
	seed := quictest.Seed(t, 31)
	dark := false
	opts := quictest.Options{Tap: func(from netsim.Side, d []byte) []byte {
		if dark && from == netsim.Right {
			return nil
		}
		return d
	}}
	e := connect(t, seed, opts)
	o := newOracle(time.Hour)
	o.sender.info.Hooks = append(o.sender.info.Hooks, hook.HookDecl{Op: hook.OpPacketLost, Anchor: hook.After})
	var lost []uint64
	o.sender.lost = func(f *hook.PacketFate) { lost = append(lost, f.Packet) }
	e.attachBoth(o.receiver, o.sender)
	s, _ := e.server.Open(true)
	dark = true
	e.server.Write(s, make([]byte, 8000))
	e.server.Flush()
	dark = false
	e.server.Write(s, make([]byte, 100))
	e.server.Flush()
	before := e.server.Stats().BytesResent
	dark = true // what is sent again does not come either
	e.Run(time.Second, func() bool { return len(lost) >= 6 })
	if len(lost) < 6 {
		t.Fatalf("seed %d: %d packets are lost", seed, len(lost))
	}
	for _, pn := range lost {
		e.do(e.client, o.receiver, func(c hook.Conn) {
			if err := c.Recovered(0, pn, o.sent[pn]); err != nil {
				t.Errorf("Recovered(%d) = %v", pn, err)
			}
		})
		e.do(e.server, o.sender, func(c hook.Conn) {
			if err := c.Delivered(0, pn); err != nil {
				t.Errorf("Delivered(%d) = %v", pn, err)
			}
		})
	}
	if n := e.server.ExtensionStats(nil)[0].Delivered; n != uint64(len(lost)) {
		t.Errorf("%d of %d lost packets were delivered", n, len(lost))
	}
	after := e.server.Stats().BytesResent
	e.wait(5 * time.Second)
	if e.server.Stats().BytesResent != after {
		t.Errorf("seed %d: %d bytes were sent again, %d of them before it was told", seed, e.server.Stats().BytesResent-before, after-before)
	}
}

func TestRecoveredDatagramsComeOnce(t *testing.T) {
	e := connect(t, quictest.Seed(t, 32), quictest.Options{Config: func(_ netsim.Side, cfg *core.Config) { cfg.MaxDatagramFrame = 65535 }})
	o := newOracle(time.Hour) // never by itself
	e.attachBoth(o.receiver, o.sender)
	if err := e.server.SendDatagram([]byte("once")); err != nil {
		t.Fatal(err)
	}
	e.server.Flush()
	for pn, payload := range o.sent {
		e.do(e.client, o.receiver, func(c hook.Conn) {
			if err := c.Recovered(0, pn, payload); err != nil {
				t.Errorf("packet %d: %v", pn, err)
			}
		})
		e.do(e.client, o.receiver, func(c hook.Conn) {
			if err := c.Recovered(0, pn, payload); err != hook.ErrRange {
				t.Errorf("packet %d again: %v", pn, err)
			}
		})
	}
	if got, ok := e.client.ReadDatagram(); !ok || string(got) != "once" {
		t.Fatalf("the recovered datagram is %q", got)
	}
	before := e.client.Stats().PacketsReceived
	e.wait(time.Second)
	if got, ok := e.client.ReadDatagram(); ok {
		t.Errorf("it came twice: %q", got)
	}
	if e.client.Stats().PacketsReceived == before {
		t.Error("the packet itself did not come")
	}
	if s := e.server.Stats(); s.InFlight != 0 || s.PacketsLost != 0 {
		t.Errorf("the packet was not acknowledged: %+v", s)
	}
}

// TestOnlyHarmlessFramesAreRecovered hands in frames that a packet may not repeat.
func TestOnlyHarmlessFramesAreRecovered(t *testing.T) {
	e := connected(t)
	p := newProbe("org.example.recover", hook.OpAppCall)
	e.attachTo(e.client, p)
	e.fetch(100_000, time.Second)
	frame := func(f wire.Frame) []byte { return wire.AppendFrame(nil, &f) }
	stream := append(wire.AppendStreamHeader(nil, 0, 0, 2, false), 'h', 'i')
	for _, tc := range []struct {
		name    string
		path    uint8
		pn      uint64
		payload []byte
		want    error
	}{
		{"an ACK", 0, 900, wire.AppendAck(nil, 100, []wire.AckRange{{Largest: 3}}, 0, nil), hook.ErrRange},
		{"CRYPTO", 0, 900, append(wire.AppendCryptoHeader(nil, 0, 1), 0), hook.ErrRange},
		{"a close", 0, 900, frame(wire.Frame{Type: wire.FrameConnectionClose}), hook.ErrRange},
		{"a close of the application", 0, 900, frame(wire.Frame{Type: wire.FrameApplicationClose}), hook.ErrRange},
		{"a connection ID", 0, 900, frame(wire.Frame{Type: wire.FrameNewConnectionID, Sequence: 9, ConnID: make([]byte, 8)}), hook.ErrRange},
		{"a retired ID", 0, 900, frame(wire.Frame{Type: wire.FrameRetireConnectionID}), hook.ErrRange},
		{"a challenge", 0, 900, frame(wire.Frame{Type: wire.FramePathChallenge}), hook.ErrRange},
		{"a response", 0, 900, frame(wire.Frame{Type: wire.FramePathResponse}), hook.ErrRange},
		{"a frame of a plugin", 0, 900, wire.AppendPlugin(nil, wire.FramePlugin, nil), hook.ErrRange},
		{"an unknown frame", 0, 900, []byte{0x3f}, hook.ErrRange},
		{"a frame cut short", 0, 900, stream[:2], hook.ErrRange},
		{"one bad frame at the end", 0, 900, append(slices.Clone(stream), 0x1a), hook.ErrRange},
		{"datagrams that we do not take", 0, 900, wire.AppendDatagram(nil, []byte("x")), hook.ErrRange},
		{"another path", 1, 900, stream, hook.ErrRange},
		{"a packet that arrived", 0, 10, stream, hook.ErrRange},
		{"a packet far away", 0, 1 << 40, stream, hook.ErrRange},
		{"a stream", 0, 900, stream, nil},
		{"nothing", 0, 901, nil, nil},
		{"limits", 0, 902, frame(wire.Frame{Type: wire.FrameMaxData, Limit: 1}), nil},
		{"the end of the handshake", 0, 903, frame(wire.Frame{Type: wire.FrameHandshakeDone}), nil},
	} {
		e.do(e.client, p, func(c hook.Conn) {
			if err := c.Recovered(tc.path, tc.pn, tc.payload); err != tc.want {
				t.Errorf("%s: %v, want %v", tc.name, err, tc.want)
			}
		})
	}
	if s := e.client.ExtensionStats(nil)[0]; s.Recovered != 4 || s.Detached {
		t.Errorf("%+v", s)
	}
	e.wantAlive()
}

func TestAViolationInRecoveredFramesIsTheExtensionsFault(t *testing.T) {
	for name, payload := range map[string][]byte{
		"beyond flow control":      append(wire.AppendStreamHeader(nil, 3, 1<<40, 1, false), 0),
		"a stream of ours":         append(wire.AppendStreamHeader(nil, 400, 0, 1, false), 0),
		"more streams than may be": append(wire.AppendStreamHeader(nil, 4*10_000+1, 0, 1, false), 0),
	} {
		t.Run(name, func(t *testing.T) {
			e := connected(t)
			p := newProbe("org.example.recover", hook.OpAppCall)
			e.attachTo(e.client, p)
			e.do(e.client, p, func(c hook.Conn) {
				if err := c.Recovered(0, 100, payload); err != nil {
					t.Fatal(err)
				}
			})
			e.wantDetached(p, hook.DetachFault)
			if !e.fetch(10_000, time.Second) {
				t.Error("nothing came")
			}
			e.wantAlive()
		})
	}
}

func TestRecoveryIsLimited(t *testing.T) {
	e := connected(t)
	p := newProbe("org.example.recover", hook.OpAppCall)
	e.attachTo(e.client, p)
	e.fetch(10_000, time.Second)
	e.do(e.client, p, func(c hook.Conn) {
		for i := range uint64(core.MaxRecovered) { // maxRecovered
			if err := c.Recovered(0, 200+i, []byte{0}); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Recovered(0, 400, []byte{0}); err != hook.ErrLimit {
			t.Errorf("one packet more: %v", err)
		}
	})
	e.do(e.client, p, func(c hook.Conn) {
		if err := c.Recovered(0, 500, make([]byte, core.MaxRecoveredBytes)); err != nil { // maxRecoveredBytes
			t.Error(err)
		}
		if err := c.Recovered(0, 501, []byte{0}); err != hook.ErrLimit {
			t.Errorf("one byte more: %v", err)
		}
	})
	if s := e.client.ExtensionStats(nil)[0]; s.Recovered != core.MaxRecovered+1 {
		t.Errorf("%d packets were recovered", s.Recovered)
	}
}

func TestDeliveryIsLimited(t *testing.T) {
	e := connect(t, quictest.Seed(t, 33), lossy(0))
	p := newProbe("org.example.deliver", hook.OpAppCall)
	e.attachTo(e.server, p)
	e.fetch(1<<20, time.Minute)
	e.server.Serve(func([]byte) []byte { return make([]byte, 1<<20) })
	f := e.client.Get([]byte("go"))
	e.Run(time.Minute, func() bool { return len(e.server.UnsettledPackets()) > core.MaxDelivered+5 })
	e.do(e.server, p, func(c hook.Conn) {
		all := e.server.UnsettledPackets()
		for i, pn := range all {
			err := c.Delivered(0, pn)
			if i < core.MaxDelivered && err != nil || i >= core.MaxDelivered && err != hook.ErrLimit { // maxDelivered
				t.Fatalf("packet %d of %d: %v", i, len(all), err)
			}
		}
		for _, pn := range []uint64{0, 5, 1 << 40} {
			if err := c.Delivered(0, pn); err != hook.ErrRange {
				t.Errorf("packet %d, whose fate is known: %v", pn, err)
			}
		}
		if err := c.Delivered(7, all[0]); err != hook.ErrRange {
			t.Errorf("a path that is not there: %v", err)
		}
	})
	if !e.Run(time.Minute, func() bool { return f.Done }) {
		t.Error("packets that do arrive are lost to the application")
	}
	e.wantAlive()
}

func TestLostContentIsRememberedForSome(t *testing.T) {
	e := connect(t, quictest.Seed(t, 34), lossy(0.2))
	e.attachTo(e.server, newProbe("org.example.deliver", hook.OpAppCall))
	if !e.fetch(2<<20, 5*time.Minute) {
		t.Fatal("nothing came")
	}
	if n := e.server.LostContent(); n != core.MaxLostContent { // maxLostContent
		t.Errorf("%d pieces are remembered of %d lost packets, want %d", n, e.server.Stats().PacketsLost, core.MaxLostContent)
	}
}

func TestAnIdleConnectionKeepsNothingOfLostPackets(t *testing.T) {
	e := connect(t, quictest.Seed(t, 60), quictest.Options{ToServer: lossy(0).ToServer, ToClient: lossy(0.05).ToClient})
	o := newOracle(time.Hour)
	e.attachBoth(o.receiver, o.sender)
	if !e.fetch(1<<20, time.Minute) || e.server.LostContent() == 0 {
		t.Fatalf("nothing came, or of %d pieces it is remembered that they were lost", e.server.LostContent())
	}
	e.wait(10 * time.Second)
	if n := e.server.LostContent(); n != 0 {
		t.Errorf("a silent connection remembers %d pieces of lost packets", n)
	}
}
