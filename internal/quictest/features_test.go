package quictest

import (
	"bytes"
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/internal/virtual"
	"github.com/seed51309289/quiver/internal/wire"
	"github.com/seed51309289/quiver/netsim"
)

func TestClientHelloOfTwoDatagramsMayComeInAnyOrder(t *testing.T) {
	for _, swap := range []bool{false, true} {
		r := NewRawClient(t, RawOptions{})
		hello := r.sp[Initial].out
		if len(hello) < wire.MinInitialDatagram {
			t.Fatalf("a hello of %d bytes does not need two datagrams", len(hello))
		}
		r.sp[Initial].out = nil
		parts := [][]byte{crypto(0, hello[:900]), crypto(900, hello[900:])}
		if swap {
			parts[0], parts[1] = parts[1], parts[0]
		}
		r.Send(Initial, parts[0])
		r.WantNoFrame("half a hello", wire.FrameCrypto)
		r.Send(Initial, parts[1])
		r.Connect()
	}
}

func TestFlightsAreCoalesced(t *testing.T) {
	r := NewRawClient(t, RawOptions{})
	r.SendCrypto(Initial)
	types := map[int]map[wire.PacketType]bool{}
	for _, p := range r.Replies {
		if types[p.Datagram] == nil {
			types[p.Datagram] = map[wire.PacketType]bool{}
		}
		types[p.Datagram][p.Type] = true
	}
	for _, kinds := range types {
		if kinds[wire.PacketInitial] && kinds[wire.PacketHandshake] {
			return
		}
	}
	t.Errorf("RFC 9000 §12.2: no datagram has both Initial and Handshake packets: %v", r.Describe())
}

// passBelow is a Tap that drops datagrams larger than limit, as a link does.
func passBelow(limit *int) func(netsim.Side, []byte) []byte {
	return func(_ netsim.Side, d []byte) []byte {
		if len(d) > *limit {
			return nil
		}
		return d
	}
}

func TestDatagramSizeGrowsToWhatThePathCarries(t *testing.T) {
	for _, carries := range []int{1200, 1232, 1300, 1452, 9000} {
		p := NewPair(t, 1, Options{Tap: passBelow(&carries)})
		serve(p)
		runTransfer(t, p, []byte("1000000"))
		p.Run(20*time.Second, func() bool { return false }) // for the search to end
		got, want := p.Server.Conns[0].Stats().MTU, min(carries, 1452)
		if got > want || got < want-16 {
			t.Errorf("RFC 9000 §14.3: datagrams of %d bytes on a path that carries %d, want up to %d", got, carries, want)
		}
	}
}

func TestBlackHoleLowersTheDatagramSize(t *testing.T) {
	carries := 1500
	p := NewPair(t, 1, Options{Tap: passBelow(&carries)})
	serve(p)
	runTransfer(t, p, []byte("1000000"))
	c := p.Client.Conns[0]
	if got := p.Server.Conns[0].Stats().MTU; got != 1452 {
		t.Fatalf("datagrams of %d bytes, want 1452", got)
	}
	carries = 1250
	f := c.Get([]byte("1000001"))
	if !p.Run(time.Minute, func() bool { return f.Done }) || f.Body.Len() != 1000001 {
		t.Fatalf("RFC 8899 §4.3: %d bytes arrived through the black hole", f.Body.Len())
	}
	if got := p.Server.Conns[0].Stats().MTU; got > 1250 || got < 1200 {
		t.Errorf("datagrams of %d bytes on a path that carries 1250", got)
	}
}

func TestPeersDatagramLimitIsObeyed(t *testing.T) {
	opts := RawOptions{Params: func(p *wire.Params) { p.MaxUDPPayload = 1300 }}
	testSides(t, opts, func(t *testing.T, r *RawPeer) {
		s, _ := r.Conn.Open(true)
		r.Conn.Write(s, padding(100_000))
		r.Flush()
		for range 20 {
			r.Advance(10 * time.Millisecond)
			for _, p := range r.Replies {
				if p.Size > 1300 {
					t.Fatalf("RFC 9000 §18.2: datagram of %d bytes, limit 1300", p.Size)
				}
			}
		}
	})
}

func TestMTUProbesAreAloneAndPadded(t *testing.T) {
	r := NewRawClient(t, RawOptions{})
	for range 3 {
		r.SendCrypto(Initial)
		r.SendCrypto(Handshake)
	}
	s, _ := r.Conn.Open(true)
	r.Conn.Write(s, padding(2_000))
	r.Flush()
	r.Advance(time.Second)
	for _, p := range r.Replies {
		if p.Size > wire.MinInitialDatagram {
			t.Errorf("%d bytes were sent in all, and a probe of %d", 2_000, p.Size)
		}
	}
	r.Conn.Write(s, padding(20_000))
	r.Flush()
	r.Advance(time.Second)
	probes := 0
	for _, p := range r.Replies {
		if p.Size <= wire.MinInitialDatagram {
			continue
		}
		if p.Frames[0].Type != wire.FramePing {
			continue // data, in packets that became larger
		}
		probes++
		for _, f := range p.Frames {
			if f.Type != wire.FramePing && f.Type != wire.FramePadding {
				t.Errorf("RFC 9000 §14.4: %v in a probe of %d bytes", f.Type, p.Size)
			}
		}
	}
	if probes == 0 {
		t.Error("no probe was sent")
	}
}

// ecnOn gives both sides ECN and a link that does mark to every packet.
func ecnPair(t *testing.T, mark func(ecn uint8) uint8) *Pair {
	p := NewPair(t, 1, Options{})
	p.Remark = mark
	serve(p)
	return p
}

func TestECNIsValidatedOnAPathThatCarriesIt(t *testing.T) {
	p := ecnPair(t, func(e uint8) uint8 { return e })
	runTransfer(t, p, []byte("300000"))
	if n := p.Marked; n < 100 {
		t.Errorf("RFC 9000 §13.4.2: only %d marked packets of a whole transfer", n)
	}
}

func TestECNIsGivenUpOnABadPath(t *testing.T) {
	const notECT, ect1, ect0 = 0, 1, 2
	for name, mark := range map[string]func(uint8) uint8{
		"bleached": func(uint8) uint8 { return notECT },
		"remarked": func(e uint8) uint8 {
			if e == ect0 {
				return ect1
			}
			return e
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := ecnPair(t, mark)
			runTransfer(t, p, []byte("300000"))
			before := p.Marked
			f := p.Client.Conns[0].Get([]byte("300000"))
			p.Run(time.Minute, func() bool { return f.Done })
			if p.Marked != before {
				t.Errorf("RFC 9000 §13.4.2: %d packets are marked after validation failed", p.Marked-before)
			}
		})
	}
}

func TestECT1IsMarkedAndValidated(t *testing.T) {
	const ect1 = 1
	opts := Options{Config: func(_ netsim.Side, cfg *core.Config) { cfg.L4S = true }}
	p := NewPair(t, 1, opts)
	others := 0
	p.Remark = func(e uint8) uint8 {
		if e != 0 && e != ect1 {
			others++
		}
		return e
	}
	serve(p)
	runTransfer(t, p, []byte("300000"))
	st := p.Server.Conns[0].Stats()
	if others > 0 || p.Marked < 100 || st.ECN != "capable" || st.ReportedECT1 == 0 || st.ReportedECT0 != 0 {
		t.Errorf("RFC 9331 §4.1: %d packets marked, %d of them not ECT(1); ECN %s, reported %d ECT(1) and %d ECT(0)", p.Marked, others, st.ECN, st.ReportedECT1, st.ReportedECT0)
	}
}

func TestPathThatDropsMarkedPacketsWorks(t *testing.T) {
	p := ecnPair(t, func(e uint8) uint8 {
		if e != 0 {
			return virtual.DropMark
		}
		return e
	})
	runTransfer(t, p, []byte("100000"))
}

func TestCongestionMarksSlowTheSender(t *testing.T) {
	opts := bothWays(netsim.LinkConfig{Delay: 15 * time.Millisecond, CEMark: 0.02})
	p := NewPair(t, 1, opts)
	serve(p)
	runTransfer(t, p, []byte("2000000"))
	if st := p.Sim.Stats(); st.ToClient.CEMarked == 0 {
		t.Fatal("the link marked nothing")
	}
	clean := NewPair(t, 1, Options{})
	serve(clean)
	runTransfer(t, clean, []byte("2000000"))
	if marked, free := p.Clock.Since(), clean.Clock.Since(); marked <= free {
		t.Errorf("RFC 9002 §7.1: %v with marks, %v without", marked, free)
	}
}

func TestReceiveWindowsGrowWithTheRate(t *testing.T) {
	opts := bothWays(netsim.LinkConfig{Delay: 50 * time.Millisecond})
	opts.Config = func(_ netsim.Side, cfg *core.Config) {
		cfg.StreamWindow, cfg.ConnWindow = 32<<10, 48<<10
	}
	p := NewPair(t, 1, opts)
	p.Server.OnConn = func(c *Peer) { c.Serve(func(r []byte) []byte { return make([]byte, atoi(r)) }) }
	c := p.Dial()
	p.Run(5*time.Second, func() bool { return c.Established })
	f := c.Get([]byte("20000000"))
	if !p.Run(time.Minute, func() bool { return f.Done }) {
		t.Fatalf("%d bytes in a minute", f.Body.Len())
	}
	// 32 kB a round trip of 100 ms would take 61 seconds.
	if got := p.Clock.Since(); got > 15*time.Second {
		t.Errorf("20 MB took %v: the windows did not grow", got)
	}
}

func TestWindowsDoNotGrowForASlowReader(t *testing.T) {
	testSides(t, RawOptions{Config: func(cfg *core.Config) { cfg.StreamWindow, cfg.ConnWindow = 10_000, 20_000 }}, func(t *testing.T, r *RawPeer) {
		r.Send(App, stream(r.peerStream(0, true), 0, string(padding(1000)), false))
		for range 20 {
			r.Advance(time.Second)
			if n, err := r.Conn.Read(r.Clock.Now(), r.Opened[0], make([]byte, 600)); n+0 < 0 || err != nil {
				t.Fatal(n, err)
			}
			r.Flush()
			r.Send(App, stream(r.peerStream(0, true), 0, string(padding(1000)), false))
		}
		for _, p := range r.Replies {
			for _, f := range p.Frames {
				if f.Type == wire.FrameMaxStreamData && f.Limit > 20_000+10_000 {
					t.Errorf("limit %d for a reader of 600 bytes a second", f.Limit)
				}
			}
		}
	})
}

func TestBlockedSenderSaysSo(t *testing.T) {
	t.Run("stream", func(t *testing.T) {
		testSides(t, RawOptions{Params: func(p *wire.Params) { p.MaxStreamUni = 100 }}, func(t *testing.T, r *RawPeer) {
			s, _ := r.Conn.Open(true)
			r.Conn.Write(s, padding(200))
			r.Flush()
			if _, f := r.WantFrame("RFC 9000 §4.1: STREAM_DATA_BLOCKED", wire.FrameStreamDataBlocked); f.Limit != 100 {
				t.Errorf("blocked at %d, want 100", f.Limit)
			}
			r.Send(App, encode(wire.Frame{Type: wire.FrameMaxStreamData, StreamID: s.ID(), Limit: 150}))
			if _, f := r.WantFrame("more after MAX_STREAM_DATA", wire.FrameStream); f.Offset != 100 || len(f.Data) != 50 {
				t.Errorf("sent %d bytes at %d, want 50 at 100", len(f.Data), f.Offset)
			}
		})
	})
	t.Run("connection", func(t *testing.T) {
		testSides(t, RawOptions{Params: func(p *wire.Params) { p.MaxData = 100 }}, func(t *testing.T, r *RawPeer) {
			s, _ := r.Conn.Open(true)
			r.Conn.Write(s, padding(200))
			r.Flush()
			if _, f := r.WantFrame("RFC 9000 §4.1: DATA_BLOCKED", wire.FrameDataBlocked); f.Limit != 100 {
				t.Errorf("blocked at %d, want 100", f.Limit)
			}
			r.Send(App, encode(wire.Frame{Type: wire.FrameMaxData, Limit: 150}))
			if _, f := r.WantFrame("more after MAX_DATA", wire.FrameStream); f.Offset != 100 || len(f.Data) != 50 {
				t.Errorf("sent %d bytes at %d, want 50 at 100", len(f.Data), f.Offset)
			}
		})
	})
	t.Run("streams", func(t *testing.T) {
		testSides(t, RawOptions{Params: func(p *wire.Params) { p.MaxStreamsUni = 1 }}, func(t *testing.T, r *RawPeer) {
			r.Conn.Open(true)
			if _, ok := r.Conn.Open(true); ok {
				t.Fatal("RFC 9000 §4.6: a stream beyond the limit")
			}
			r.Flush()
			if _, f := r.WantFrame("RFC 9000 §4.6: STREAMS_BLOCKED", wire.FrameStreamsBlockedUni); f.Limit != 1 {
				t.Errorf("blocked at %d, want 1", f.Limit)
			}
			r.Send(App, encode(wire.Frame{Type: wire.FrameMaxStreamsUni, Limit: 2}))
			if !r.has(core.EventStreams) {
				t.Error("no event for MAX_STREAMS")
			}
			if _, ok := r.Conn.Open(true); !ok {
				t.Error("no stream after MAX_STREAMS")
			}
		})
	})
}

func TestTwoThousandStreamsPassALimitOfAHundred(t *testing.T) {
	p := NewPair(t, Seed(t, 1), bothWays(netsim.LinkConfig{Delay: 5 * time.Millisecond, Loss: 0.01}))
	p.Server.OnConn = func(c *Peer) { c.Serve(bytes.Clone) }
	c := p.Dial()
	p.Run(time.Minute, func() bool { return c.Established })
	var all []*Fetch
	done, most := 0, 0
	ok := p.Run(5*time.Minute, func() bool {
		for len(all) < 1999 {
			f := c.Get([]byte{byte(len(all)), byte(len(all) >> 8)})
			if f == nil {
				break
			}
			all = append(all, f)
		}
		for done < len(all) && all[done].Done {
			done++
		}
		open := 0
		for _, f := range all[done:] {
			if !f.Done {
				open++
			}
		}
		most = max(most, open)
		return done == 1999 || c.Closed
	})
	if !ok || c.Closed {
		t.Fatalf("%d of 1999 streams, %d done: %v", len(all), done, c.Err())
	}
	for i, f := range all {
		if !bytes.Equal(f.Body.Bytes(), []byte{byte(i), byte(i >> 8)}) {
			t.Fatalf("stream %d: got %x, error %v", i, f.Body.Bytes(), f.Err)
		}
	}
	if most > 100+25 {
		t.Errorf("%d streams at once, limit 100", most)
	}
}

func TestBlackoutOfSecondsIsSurvived(t *testing.T) {
	opts := bothWays(netsim.LinkConfig{Delay: 15 * time.Millisecond, Bandwidth: 10_000_000, QueuePackets: 25,
		Blackhole: netsim.Blackhole{On: 2 * time.Second, Off: 4 * time.Second, Repeat: 2}})
	p := NewPair(t, Seed(t, 1), opts)
	serve(p)
	runTransfer(t, p, []byte("5000000"))
}

func TestEndOfAStreamNeedsNoConnectionWindow(t *testing.T) {
	testSides(t, RawOptions{Params: func(p *wire.Params) { p.MaxData = 100 }}, func(t *testing.T, r *RawPeer) {
		greedy, _ := r.Conn.Open(true)
		modest, _ := r.Conn.Open(true)
		r.Conn.Write(greedy, padding(200))
		r.Flush()
		r.WantFrame("the window is used up", wire.FrameStream)
		r.Conn.CloseWrite(modest)
		r.Flush()
		r.WantFrame("an end costs no credit, and must not wait behind data that does", wire.FrameStream,
			func(f *wire.Frame) bool { return f.StreamID == modest.ID() && f.Fin })
		r.Send(App, encode(wire.Frame{Type: wire.FrameMaxData, Limit: 1000}))
		r.WantFrame("the rest follows", wire.FrameStream, func(f *wire.Frame) bool { return f.StreamID == greedy.ID() && f.Offset == 100 })
	})
}

// TestRepeatedHelloIsAnsweredAtOnce has a client whose timer is shorter than
// the server's: it lacks the server's flight, and says so by its hello.
func TestRepeatedHelloIsAnsweredAtOnce(t *testing.T) {
	r := NewRawClient(t, RawOptions{})
	r.AutoAck = false
	hello := r.sp[Initial].out
	r.sp[Initial].out = nil
	parts := [][]byte{crypto(0, hello[:900]), crypto(900, hello[900:])}
	say := func() {
		for _, p := range parts {
			r.Send(Initial, p)
		}
	}
	flight := func() (initial, handshake bool) {
		for _, p := range r.Replies {
			for _, f := range p.Frames {
				initial = initial || p.Type == wire.PacketInitial && f.Type == wire.FrameCrypto
				handshake = handshake || p.Type == wire.PacketHandshake && f.Type == wire.FrameCrypto
			}
		}
		r.Replies = nil
		return initial, handshake
	}
	say()
	if initial, handshake := flight(); !initial || !handshake {
		t.Fatalf("the hello is answered with Initial %v, Handshake %v; want both", initial, handshake)
	}
	say()
	if initial, handshake := flight(); initial || handshake {
		t.Error("a hello that comes twice at once is answered twice, want patience: the network may have doubled it")
	}
	for n := range 4 {
		r.Advance(150 * time.Millisecond) // less than the server's own timer, in all
		flight()
		say()
		initial, handshake := flight()
		if want := n < 3; initial != want || handshake != want {
			t.Errorf("repetition %d is answered with Initial %v, Handshake %v; want both: %v", n+1, initial, handshake, want)
		}
	}
}

// Security 23: the path shrinks in the middle of a transfer, and nobody says so.
func TestBlackHoleInTheMiddleOfATransferIsSurvived(t *testing.T) {
	const header = 28 // bytes of IPv4 and UDP
	link := netsim.LinkConfig{Delay: 15 * time.Millisecond, Bandwidth: 10_000_000, QueuePackets: 50,
		MTU: 1500, LaterMTU: 1250 + header, MTUChange: time.Second}
	p := NewPair(t, Seed(t, 1), Options{ToServer: link, ToClient: link})
	serve(p)
	runTransfer(t, p, []byte("3000000"))
	if took := p.Clock.Since(); took > 10*time.Second {
		t.Errorf("3 MB took %v at 10 Mbit/s, want little more than 2.4 s", took)
	}
	if got := p.Server.Conns[0].Stats().MTU; got > 1250 || got < 1200 {
		t.Errorf("RFC 8899 §4.3: datagrams of %d bytes on a path that carries 1250", got)
	}
}
