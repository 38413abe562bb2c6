package quictest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/internal/wire"
	"github.com/seed51309289/quiver/netsim"
)

// TestDatagramsOfStrangersCostLittle counts what the Router does for datagrams
// that no connection asked for: without a reply nothing is allocated, with one a
// few pieces, and no reply is larger than what it answers.
func TestDatagramsOfStrangersCostLittle(t *testing.T) {
	long := func(size int, version uint32) []byte {
		b := make([]byte, size)
		b[0] = 0xc0
		binary.BigEndian.PutUint32(b[1:], version)
		b[5], b[14] = 8, 8
		return b
	}
	short := make([]byte, 200)
	short[0] = wire.ShortFixedBit
	for name, c := range map[string]struct {
		data   []byte
		allocs float64
	}{
		"nothing":                        {nil, 0},
		"a short header":                 {short, 2},
		"a short header of 20 bytes":     {short[:20], 0},
		"a version nobody speaks":        {long(1200, 0x1a2a3a4a), 6},
		"the same in a small datagram":   {long(1199, 0x1a2a3a4a), 0},
		"a Version Negotiation packet":   {long(1200, 0), 0},
		"a small Initial":                {long(1199, 1), 0},
		"an Initial cut in its header":   {long(1200, 1)[:10], 0},
		"an Initial of an absurd length": {append(long(23, 1), bytes.Repeat([]byte{0xff}, 1200)...), 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := NewRawClient(t, RawOptions{})
			now := r.Clock.Now()
			d := core.Datagram{Data: c.data, Remote: r.local, Local: r.remote.Addr()}
			reply := 0
			allocs := testing.AllocsPerRun(200, func() {
				now = now.Add(10 * time.Millisecond) // fewer than the replies of a second
				reply = len(r.Router.Route(now, &d).Reply)
			})
			if allocs > c.allocs {
				t.Errorf("%v allocations, want at most %v", allocs, c.allocs)
			}
			if reply >= max(len(c.data), 1) {
				t.Errorf("%d bytes are answered with %d", len(c.data), reply)
			}
			if wantReply := c.allocs > 0; wantReply != (reply > 0) {
				t.Errorf("reply of %d bytes, want one: %v", reply, wantReply)
			}
		})
	}
}

// TestStatelessResetsOfEverySizeAreSmaller scans the sizes that could make two
// endpoints reset each other for ever, or show a reset by its size.
func TestStatelessResetsOfEverySizeAreSmaller(t *testing.T) {
	r := NewRawClient(t, RawOptions{})
	for size := range 1200 {
		data := bytes.Repeat([]byte{wire.ShortFixedBit | 5}, size)
		d := core.Datagram{Data: data, Remote: r.local, Local: r.remote.Addr()}
		r.Clock.Advance(10 * time.Millisecond)
		n := len(r.Router.Route(r.Clock.Now(), &d).Reply)
		switch {
		case size <= 21 && n > 0:
			t.Errorf("%d bytes are answered with %d: want silence, no reset is smaller", size, n)
		case size > 21 && (n < 21 || n >= size || n > 43):
			t.Errorf("RFC 9000 §10.3: %d bytes are answered with %d, want 21 and more, less than came", size, n)
		}
	}
}

// TestRapidResetLeavesNothing opens streams and takes them back as fast as the
// limit lets. Credit comes only as the application finishes streams, so they are
// never more than the limit.
func TestRapidResetLeavesNothing(t *testing.T) {
	const streams, limit = 20_000, 3
	r := NewRawClient(t, RawOptions{Config: small}).Connect()
	granted, opened := uint64(limit), uint64(0)
	wantBounded(t, r, 256<<10, func() {
		for opened < streams {
			for ; opened < granted && opened < streams; opened++ {
				id := r.peerStream(opened, false)
				r.Send(App, stream(id, 0, "x", false), encode(wire.Frame{Type: wire.FrameResetStream, StreamID: id, FinalSize: 1}),
					encode(wire.Frame{Type: wire.FrameStopSending, StreamID: id}))
			}
			if len(r.Opened) > limit {
				t.Fatalf("%d streams are open, want at most %d", len(r.Opened), limit)
			}
			for _, s := range r.Opened {
				r.Conn.Read(r.Clock.Now(), s, make([]byte, 1))
				r.Conn.Reset(s, 0)
			}
			r.Opened = nil
			r.Flush()
			r.Advance(30 * time.Millisecond)
			for _, p := range r.Replies {
				for _, f := range p.Frames {
					if f.Type == wire.FrameMaxStreamsBidi {
						granted = max(granted, f.Limit)
					}
				}
			}
			if granted > opened+limit {
				t.Fatalf("%d streams are allowed after %d, want at most %d more", granted, opened, limit)
			}
			r.forget()
			if err := r.Conn.Err(); err != nil {
				t.Fatalf("after %d streams: %v", opened, err)
			}
		}
	})
}

// TestChallengesWithAClosedWindowAreBounded is CVE-2023-49295: the peer lets
// the congestion window close, and asks for answers that cannot leave.
func TestChallengesWithAClosedWindowAreBounded(t *testing.T) {
	r := NewRawClient(t, RawOptions{}).Connect()
	r.AutoAck = false
	s, _ := r.Conn.Open(true)
	r.Conn.Write(s, padding(100_000))
	r.Flush()
	wantBounded(t, r, 512<<10, func() { // records of the ACKs that we send, which nobody acknowledges
		for i := range 10_000 {
			r.Send(App, challenge(byte(i)))
			if i%100 == 0 {
				r.forget()
			}
		}
	})
	r.WantOpen("a flood is borne")
	r.Replies = nil
	r.AutoAck = true
	r.Advance(10 * time.Second) // probes are acknowledged: the window opens
	answers := 0
	for _, p := range r.Replies {
		for _, f := range p.Frames {
			if f.Type == wire.FramePathResponse {
				answers++
			}
		}
	}
	if answers > 4 {
		t.Errorf("%d answers waited, want the newest 4 at most", answers)
	}
}

// TestClosedConnectionIsFloodedInVain sends to a connection that was closed:
// the answers grow rarer by powers of two, and nothing lives longer for it.
func TestClosedConnectionIsFloodedInVain(t *testing.T) {
	r := NewRawClient(t, RawOptions{}).Connect()
	r.Conn.Close(r.Clock.Now(), 1, "enough")
	r.Flush()
	before := r.GotDatagrams
	const packets = 100_000
	wantBounded(t, r, 32<<10, func() {
		for i := range packets {
			r.Send(App, frame(wire.FramePing))
			if i%100 == 0 {
				r.forget()
			}
		}
	})
	if n := r.GotDatagrams - before; n > 20 {
		t.Errorf("RFC 9000 §10.2.1: %d packets were answered %d times, want about the logarithm", packets, n)
	}
	r.Advance(2 * time.Second)
	if !r.has(core.EventDrained) || r.Router.Len() != 0 {
		t.Errorf("RFC 9000 §10.2: the flood keeps the connection alive, with %d IDs", r.Router.Len())
	}
}

// TestOptimisticAcknowledgmentsAreCaught acknowledges every number up to the
// largest that was seen, whether its packet came or not, as a receiver does that
// wants more than its share (RFC 9000 §21.4).
func TestOptimisticAcknowledgmentsAreCaught(t *testing.T) {
	r := NewRawClient(t, RawOptions{Params: func(p *wire.Params) { p.MaxData, p.MaxStreamUni = 1<<40, 1<<40 }}).Connect()
	r.AutoAck = false
	s, _ := r.Conn.Open(true)
	sent := 0
	for r.Conn.Err() == nil && sent < 64<<20 {
		n, _ := r.Conn.Write(s, padding(100_000))
		sent += n
		r.Flush()
		r.Advance(10 * time.Millisecond)
		r.forget()
		if largest := r.sp[App].largest; r.Conn.Err() == nil && largest >= 0 {
			r.Send(App, ack(wire.AckRange{Smallest: 0, Largest: uint64(largest)}))
		}
	}
	if r.Conn.Err() == nil {
		t.Fatalf("%d bytes were sent to a peer that acknowledges what it cannot have", sent)
	}
	r.WantClose("RFC 9000 §21.4: a skipped number", core.ProtocolViolation)
	t.Logf("caught after %d bytes", sent)
}

// TestDamagedNetworkDeliversEveryByteOnce repeats, holds back and changes
// packets in both directions at once.
func TestDamagedNetworkDeliversEveryByteOnce(t *testing.T) {
	opts := bothWays(netsim.LinkConfig{
		Delay: 10 * time.Millisecond, Bandwidth: 20_000_000, QueuePackets: 100,
		Duplicate: 0.1, Reorder: 0.2, Corrupt: 0.02,
	})
	var seen damage
	defer seen.want(t, "duplicated", "reordered", "corrupted")
	seeds(t, 100, func(t *testing.T, seed uint64) {
		p := NewPair(t, seed, opts)
		defer seen.add(p)
		serve(p)
		c := p.Dial()
		if !p.Run(time.Minute, func() bool { return c.Established || c.Closed }) || c.Closed {
			t.Fatalf("no handshake: %v", c.Err())
		}
		f := c.Get(fmt.Appendf(nil, "%d", 30_000+seed))
		if !p.Run(10*time.Minute, func() bool { return f.Done || c.Closed }) || c.Closed {
			t.Fatalf("the transfer does not end: %v", c.Err())
		}
		if want := answer(f.Request); !bytes.Equal(f.Body.Bytes(), want) {
			t.Fatalf("got %d bytes, want the %d that were sent", f.Body.Len(), len(want))
		}
		c.Close(p.Clock.Now(), 0, "")
		c.Flush()
		p.Run(time.Minute, func() bool { return false })
		if n := p.Client.Router.Len() + p.Server.Router.Len(); n != 0 {
			t.Fatalf("%d connection IDs stay", n)
		}
	})
}

// TestChangedPacketChangesNothing cuts a packet anywhere, and flips the bits of
// its header.
func TestChangedPacketChangesNothing(t *testing.T) {
	testSides(t, RawOptions{}, func(t *testing.T, r *RawPeer) {
		r.Replies = nil
		pkt := r.Packet(App, r.NextNumber(App), challenge(1), padding(50))
		for n := range len(pkt) {
			r.SendDatagram(bytes.Clone(pkt[:n]))
			for bit := range 8 {
				if n < 16 { // the header, bit by bit
					p := bytes.Clone(pkt)
					p[n] ^= 1 << bit
					r.SendDatagram(p)
				}
			}
		}
		r.WantNoFrame("RFC 9000 §12.1: what does not authenticate is dropped", wire.FramePathResponse)
		r.WantOpen("and changes nothing")
		r.SendDatagram(pkt)
		r.WantFrame("the packet itself is answered", wire.FramePathResponse)
	})
}

// TestAddressOfAnotherFamilyIsANewPath lets a client come back over IPv6.
func TestAddressOfAnotherFamilyIsANewPath(t *testing.T) {
	r := NewRawClient(t, RawOptions{}).Connect()
	r.Send(App, newID(1, 0), newID(2, 0))
	r.Replies = nil
	r.local, r.remote = netip.AddrPortFrom(netip.MustParseAddr("2001:db8::9"), 50000), netip.AddrPortFrom(netip.MustParseAddr("2001:db8::1"), 443)
	r.Send(App, frame(wire.FramePing))
	p, f := r.WantFrame("RFC 9000 §9.3: the new address is asked for proof", wire.FramePathChallenge)
	if p.To != r.local {
		t.Fatalf("the challenge goes to %v, want %v", p.To, r.local)
	}
	r.Send(App, encode(wire.Frame{Type: wire.FramePathResponse, Path: f.Path}))
	s, _ := r.Conn.Open(true)
	r.Conn.Write(s, []byte("hello"))
	r.Flush()
	if p, _ := r.WantFrame("then data follows", wire.FrameStream); p.To != r.local {
		t.Errorf("data goes to %v, want %v", p.To, r.local)
	}
}
