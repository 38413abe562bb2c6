package quictest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/internal/wire"
	"github.com/seed51309289/quiver/netsim"
)

// takes makes the connection under test take DATAGRAM frames of size bytes.
func takes(size uint64) func(cfg *core.Config) {
	return func(cfg *core.Config) { cfg.MaxDatagramFrame = size }
}

// announces makes the RawPeer announce that it takes them.
func announces(size uint64) func(p *wire.Params) {
	return func(p *wire.Params) { p.MaxDatagramFrame = size }
}

func datagram(data string) []byte { return wire.AppendDatagram(nil, []byte(data)) }

func TestDatagramsArriveWholeAndInBothForms(t *testing.T) {
	testSides(t, RawOptions{Config: takes(1000)}, func(t *testing.T, r *RawPeer) {
		r.Send(App, datagram("one"), datagram(""), append([]byte{byte(wire.FrameDatagram)}, "three"...))
		if !r.has(core.EventDatagram) {
			t.Error("no event for datagrams")
		}
		for _, want := range []string{"one", "", "three"} {
			if got, ok := r.Conn.ReadDatagram(); !ok || string(got) != want {
				t.Errorf("RFC 9221 §4: got %q, %v, want %q", got, ok, want)
			}
		}
		if got, ok := r.Conn.ReadDatagram(); ok {
			t.Errorf("a fourth datagram: %q", got)
		}
		r.Send(App, datagram("four"))
		r.WantFrame("RFC 9221 §5.2: DATAGRAM frames are acknowledged", wire.FrameAck)
	})
}

func TestDatagramBeyondWhatWasAnnouncedIsAnError(t *testing.T) {
	t.Run("not announced", func(t *testing.T) {
		testSides(t, RawOptions{}, func(t *testing.T, r *RawPeer) {
			r.Send(App, datagram(""))
			r.WantClose("RFC 9221 §3: a DATAGRAM frame that was not negotiated", core.ProtocolViolation)
		})
	})
	t.Run("too large", func(t *testing.T) {
		testSides(t, RawOptions{Config: takes(12)}, func(t *testing.T, r *RawPeer) {
			r.Send(App, datagram("0123456789"))
			r.WantOpen("RFC 9221 §3: 12 bytes of frame, type and length included")
			r.Send(App, datagram("01234567890"))
			r.WantClose("RFC 9221 §3: one byte more", core.ProtocolViolation)
		})
	})
}

func TestDatagramsAreAnnouncedAsConfigured(t *testing.T) {
	testSides(t, RawOptions{Config: takes(777)}, func(t *testing.T, r *RawPeer) {
		if got := r.Params().MaxDatagramFrame; got != 777 {
			t.Errorf("RFC 9221 §3: max_datagram_frame_size is %d, want 777", got)
		}
	})
	testSides(t, RawOptions{}, func(t *testing.T, r *RawPeer) {
		if got := r.Params().MaxDatagramFrame; got != 0 {
			t.Errorf("RFC 9221 §3: max_datagram_frame_size is %d without datagrams", got)
		}
	})
}

func TestDatagramIsSentOnceAndNeverAgain(t *testing.T) {
	testSides(t, RawOptions{Params: announces(1000), Config: func(cfg *core.Config) { cfg.MaxMTU = 0 }}, func(t *testing.T, r *RawPeer) {
		r.AutoAck = false
		if err := r.Conn.SendDatagram([]byte("once")); err != nil {
			t.Fatal(err)
		}
		r.Flush()
		p, f := r.WantFrame("RFC 9221 §5: it leaves at once", wire.FrameDatagramLength)
		if string(f.Data) != "once" {
			t.Errorf("sent %q", f.Data)
		}
		r.Advance(5 * time.Second) // probes, but not of this
		for range 4 {
			r.Conn.SendDatagram([]byte("later"))
			r.Flush()
		}
		r.Send(App, ack(wire.AckRange{Smallest: p.Number + 1, Largest: r.sp[App].got[len(r.sp[App].got)-1]}))
		r.Advance(5 * time.Second)
		for _, p := range r.Replies {
			for _, f := range p.Frames {
				if f.Type.IsDatagram() && string(f.Data) == "once" {
					t.Fatal("RFC 9221 §5: a lost datagram was sent again")
				}
			}
		}
	})
}

func TestDatagramThePeerDoesNotTakeIsRefused(t *testing.T) {
	testSides(t, RawOptions{}, func(t *testing.T, r *RawPeer) {
		if err := r.Conn.SendDatagram(nil); !errors.Is(err, core.ErrNoDatagrams) {
			t.Errorf("RFC 9221 §3: %v, want %v", err, core.ErrNoDatagrams)
		}
	})
	for peer, want := range map[uint64]int{1: 0, 2: 0, 3: 1, 65: 63, 66: 63, 67: 64, 100: 97} {
		testSides(t, RawOptions{Params: announces(peer)}, func(t *testing.T, r *RawPeer) {
			var large *core.DatagramTooLargeError
			if err := r.Conn.SendDatagram(padding(want + 1)); !errors.As(err, &large) || large.Max != want || large.Size != want+1 {
				t.Errorf("max_datagram_frame_size %d: %v, want at most %d", peer, err, want)
			}
			if err := r.Conn.SendDatagram(padding(want)); err != nil {
				t.Errorf("max_datagram_frame_size %d: %d bytes: %v", peer, want, err)
			}
			r.Flush()
			r.WantFrame("the largest that the peer takes", wire.FrameDatagramLength)
		})
	}
}

func TestLargestDatagramFillsThePacket(t *testing.T) {
	testSides(t, RawOptions{Params: announces(65535)}, func(t *testing.T, r *RawPeer) {
		r.Advance(time.Second) // the path MTU is found
		most := r.Conn.MaxDatagram()
		if mtu := r.Conn.Stats().MTU; most < mtu-50 || most >= mtu {
			t.Errorf("%d bytes fit into a datagram of %d", most, mtu)
		}
		for i := range 10 { // with an ACK to send, too, and after a small packet in the same train
			r.Send(App, frame(wire.FramePing))
			r.Conn.SendDatagram([]byte{byte(i)})
			r.Conn.SendDatagram(padding(most))
			r.Flush()
			r.WantFrame("the largest goes", wire.FrameDatagramLength, func(f *wire.Frame) bool { return len(f.Data) == most })
			r.Replies = nil
		}
		var large *core.DatagramTooLargeError
		if err := r.Conn.SendDatagram(padding(most + 1)); !errors.As(err, &large) || large.Max != most {
			t.Errorf("one byte more: %v, want at most %d", err, most)
		}
	})
}

func TestDatagramTooLargeForAShrunkPathIsDropped(t *testing.T) {
	r := NewRawClient(t, RawOptions{Params: announces(65535)}).Connect()
	r.Advance(time.Second)
	most := r.Conn.MaxDatagram()
	if most < 1250 {
		t.Fatalf("only %d bytes fit", most)
	}
	r.Conn.SendDatagram(padding(most))
	r.Conn.SendDatagram([]byte("small"))
	r.Conn.TooBig(r.Clock.Now(), 1300)
	r.Flush()
	if _, f := r.WantFrame("what still fits", wire.FrameDatagramLength); string(f.Data) != "small" {
		t.Errorf("sent %d bytes, want the small one", len(f.Data))
	}
	if got := r.Conn.Stats().DatagramsDropped; got != 1 {
		t.Errorf("%d datagrams dropped, want 1", got)
	}
}

// TestDatagramsWaitInBoundedNumbers fills the core's maxSendDatagrams.
func TestDatagramsWaitInBoundedNumbers(t *testing.T) {
	const maxSendDatagrams = 64
	r := NewRawClient(t, RawOptions{Params: announces(65535)}).Connect()
	r.AutoAck = false
	s, _ := r.Conn.Open(true)
	r.Conn.Write(s, padding(200_000))
	r.Flush() // the window is full, and nothing is acknowledged
	wantBounded(t, r, 512<<10, func() {
		for n := range uint32(10_000) {
			if room := r.Conn.DatagramRoom(); room != (n < maxSendDatagrams) {
				t.Fatalf("datagram %d: room %v", n, room)
			}
			r.Conn.SendDatagram(binary.BigEndian.AppendUint32(padding(1000), n))
			r.Flush()
		}
	})
	r.WantNoFrame("RFC 9221 §5.3: datagrams obey congestion control", wire.FrameDatagramLength)
	st := r.Conn.Stats()
	if st.DatagramsDropped != 10_000-maxSendDatagrams {
		t.Errorf("%d dropped, want all but %d", st.DatagramsDropped, maxSendDatagrams)
	}
	r.AutoAck = true
	r.Advance(10 * time.Second) // a probe is acknowledged, the window opens
	_, f := r.WantFrame("the newest were kept", wire.FrameDatagramLength)
	if n := binary.BigEndian.Uint32(f.Data[1000:]); n != 10_000-maxSendDatagrams {
		t.Errorf("datagram %d goes first", n)
	}
	if !r.has(core.EventDatagramRoom) {
		t.Error("nobody learns that there is room again")
	}
}

// TestReceivedDatagramsAreBounded fills the core's maxRecvDatagrams and
// maxRecvDatagramBytes.
func TestReceivedDatagramsAreBounded(t *testing.T) {
	const maxRecvDatagrams, maxRecvDatagramBytes = 256, 1 << 20
	for _, size := range []int{4, 1100, 50_000} {
		r := NewRawClient(t, RawOptions{Config: takes(65535)}).Connect()
		const sent = 3000
		wantBounded(t, r, maxRecvDatagramBytes*3/2, func() {
			for n := range uint32(sent) {
				r.Send(App, wire.AppendDatagram(nil, binary.BigEndian.AppendUint32(padding(size-4), n)))
				r.forget()
			}
		})
		r.WantOpen("RFC 9221 §5: a flood is dropped, not refused")
		want := min(maxRecvDatagrams, maxRecvDatagramBytes/size)
		for n := sent - want; n < sent; n++ {
			d, ok := r.Conn.ReadDatagram()
			if !ok || binary.BigEndian.Uint32(d[size-4:]) != uint32(n) {
				t.Fatalf("%d bytes: want datagram %d of the newest %d", size, n, want)
			}
		}
		if st := r.Conn.Stats(); st.DatagramsReceived != sent || st.DatagramsUnread != sent-uint64(want) {
			t.Errorf("%d bytes: %d received, %d of them dropped, want %d, %d", size, st.DatagramsReceived, st.DatagramsUnread, sent, sent-want)
		}
	}
}

// TestDatagramsAndStreamsShareAConnection runs a transfer beside a flood of
// datagrams over a slow link.
func TestDatagramsAndStreamsShareAConnection(t *testing.T) {
	opts := bothWays(netsim.LinkConfig{Delay: 10 * time.Millisecond, Bandwidth: 10_000_000, QueuePackets: 100})
	opts.Config = func(_ netsim.Side, cfg *core.Config) { cfg.MaxDatagramFrame = 65535 }
	p := NewPair(t, Seed(t, 1), opts)
	serve(p)
	c := p.Dial()
	p.Run(time.Second, func() bool { return c.Confirmed })
	s := p.Server.Conns[0]
	f := c.Get([]byte("2000000"))
	sent, got := 0, 0
	flood := func() bool {
		for s.DatagramRoom() && s.SendDatagram(bytes.Repeat([]byte{byte(sent)}, 1000)) == nil {
			sent++
		}
		s.Flush()
		for {
			d, ok := c.ReadDatagram()
			if !ok {
				return f.Done
			}
			if len(d) != 1000 || bytes.Count(d, d[:1]) != 1000 {
				t.Fatal("a datagram arrives changed")
			}
			got++
		}
	}
	if !p.Run(20*time.Second, flood) {
		t.Fatalf("the stream starved: %d bytes in 20 s beside %d datagrams", f.Body.Len(), got)
	}
	// Turn by turn each gets its half.
	if got < 1000 {
		t.Errorf("datagrams starved: %d arrived beside 2 MB", got)
	}
	if st := s.Stats(); st.DatagramsDropped != 0 {
		t.Errorf("%d dropped although there was room", st.DatagramsDropped)
	}
}
