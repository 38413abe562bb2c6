package quictest

import (
	"net/netip"
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/internal/wire"
	"github.com/seed51309289/quiver/netsim"
)

// Addresses that a client may turn up at.
var (
	otherPort = netip.AddrPortFrom(netsim.ClientV4, 50001)
	otherHost = netip.AddrPortFrom(netsim.ClientV4.Next(), 50000)
)

// newAddresses runs body for a new port and for a new address.
func newAddresses(t *testing.T, body func(t *testing.T, r *RawPeer, to netip.AddrPort)) {
	for name, to := range map[string]netip.AddrPort{"port": otherPort, "address": otherHost} {
		t.Run(name, func(t *testing.T) {
			body(t, NewRawClient(t, RawOptions{}).Connect(), to)
		})
	}
}

// large is padding for a packet that lets a server answer with 1200 bytes.
func large() []byte { return padding(1100) }

// WantTo checks where a reply went.
func (r *RawPeer) wantTo(what string, p Reply, to netip.AddrPort) {
	r.t.Helper()
	if p.To != to {
		r.t.Fatalf("%s: went to %v, want %v", what, p.To, to)
	}
}

// answer sends a PATH_RESPONSE for the next challenge to an address, and
// forgets all replies up to it.
func (r *RawPeer) answer(to netip.AddrPort) Reply {
	r.t.Helper()
	for i, p := range r.Replies {
		for _, f := range p.Frames {
			if f.Type == wire.FramePathChallenge && p.To == to {
				r.Replies = r.Replies[i+1:]
				r.Send(App, encode(wire.Frame{Type: wire.FramePathResponse, Path: f.Path}), large())
				return p
			}
		}
	}
	r.t.Fatalf("no challenge to %v in %v", to, r.Describe())
	return Reply{}
}

func TestServerFollowsAReboundClientAndChallengesItFirst(t *testing.T) {
	newAddresses(t, func(t *testing.T, r *RawPeer, to netip.AddrPort) {
		old := r.local
		r.local = to
		r.Send(App, stream(0, 0, "hello", false), large())
		if len(r.Replies) == 0 {
			t.Fatal("no reply")
		}
		for _, p := range r.Replies {
			if p.To != to {
				continue
			}
			if p.Frames[0].Type != wire.FramePathChallenge || p.Size != wire.MinInitialDatagram {
				t.Errorf("RFC 9000 §8.2.1: the first datagram to a new address is %v of %d bytes, want PATH_CHALLENGE in 1200", p.Frames[0].Type, p.Size)
			}
			break
		}
		found := false
		for _, p := range r.Replies {
			found = found || p.To == old && p.Frames[0].Type == wire.FramePathChallenge
		}
		if !found {
			t.Error("RFC 9000 §9.3.3: the old path is not challenged")
		}
		r.answer(to)
		r.Send(App, frame(wire.FramePing))
		r.Advance(30 * time.Millisecond)
		p, _ := r.WantFrame("the server goes on", wire.FrameAck)
		r.wantTo("the acknowledgment", p, to)
	})
}

func TestUnprovedAddressGetsThreeTimesItsBytes(t *testing.T) {
	newAddresses(t, func(t *testing.T, r *RawPeer, to netip.AddrPort) {
		r.AutoAck = false
		s, _ := r.Conn.Open(false)
		r.Conn.Write(s, make([]byte, 100_000))
		r.local = to
		before := r.GotBytes
		r.Send(App, frame(wire.FramePing), padding(400))
		r.Flush()
		sent := 0
		for _, p := range r.Replies {
			if p.To == to {
				sent += p.Size
			}
		}
		if sent == 0 || sent > 3*460 {
			t.Errorf("RFC 9000 §9.3.1: %d of %d bytes went to an address that sent about 450", sent, r.GotBytes-before)
		}
		r.answer(to)
		r.Advance(time.Second)
		if got := r.GotBytes - before; got < 5000 {
			t.Errorf("%d bytes after the address was proved, want all that the window allows", got)
		}
	})
}

func TestChallengeThatTheLimitKeptSmallIsRepeatedInFull(t *testing.T) {
	newAddresses(t, func(t *testing.T, r *RawPeer, to netip.AddrPort) {
		r.local = to
		r.Send(App, frame(wire.FramePing))
		if p := r.answer(to); p.Size >= wire.MinInitialDatagram {
			t.Fatalf("a challenge of %d bytes to an address that sent about 40", p.Size)
		}
		if p := r.answer(to); p.Size != wire.MinInitialDatagram {
			t.Errorf("RFC 9000 §8.2.1: second challenge in %d bytes, want 1200", p.Size)
		}
		r.Advance(20 * time.Second)
		for _, p := range r.Replies {
			for _, f := range p.Frames {
				if f.Type == wire.FramePathChallenge && p.To == to {
					t.Error("a third challenge, want no more")
				}
			}
		}
	})
}

func TestServerFallsBackToTheLastProvedAddress(t *testing.T) {
	newAddresses(t, func(t *testing.T, r *RawPeer, to netip.AddrPort) {
		old := r.local
		r.AutoAck = false
		r.local = to
		r.Send(App, frame(wire.FramePing), large())
		r.Advance(10 * time.Second)
		r.Replies = nil
		s, _ := r.Conn.Open(false)
		r.Conn.Write(s, []byte("where are you"))
		r.Flush()
		p, _ := r.WantFrame("data", wire.FrameStream)
		r.wantTo("RFC 9000 §9.3.2: after a failed validation", p, old)
	})
}

func TestValidationIsTriedThreeTimesInThreeTimeouts(t *testing.T) {
	r := NewRawClient(t, RawOptions{}).Connect()
	r.AutoAck = false
	r.local = otherHost
	r.Send(App, frame(wire.FramePing), large())
	r.Send(App, frame(wire.FramePing), large())
	r.Send(App, frame(wire.FramePing), large())
	start := r.Clock.Now()
	var at []time.Duration
	data := map[[8]byte]bool{}
	for range 200 {
		for _, p := range r.Replies {
			for _, f := range p.Frames {
				if f.Type == wire.FramePathChallenge && p.To == otherHost {
					at = append(at, r.Clock.Now().Sub(start).Truncate(100*time.Millisecond))
					data[f.Path] = true
				}
			}
		}
		r.Replies = nil
		r.Advance(100 * time.Millisecond)
	}
	if len(at) != 3 || at[1] < 900*time.Millisecond || at[2] < 1900*time.Millisecond || at[2] > 3*time.Second {
		t.Errorf("RFC 9000 §8.2.1, §8.2.4: challenges after %v, want three, a probe timeout of about 1 s apart", at)
	}
	if len(data) != 3 {
		t.Errorf("RFC 9000 §8.2.1: %d different challenges of 3", len(data))
	}
}

func TestAnswerToAnyChallengeOfAValidationCounts(t *testing.T) {
	r := NewRawClient(t, RawOptions{}).Connect()
	r.local = otherHost
	r.Send(App, frame(wire.FramePing), large(), large()[:100])
	_, first := r.WantFrame("a challenge", wire.FramePathChallenge)
	r.Send(App, frame(wire.FramePing), large())
	r.Advance(1100 * time.Millisecond)
	r.WantFrame("another challenge", wire.FramePathChallenge, func(f *wire.Frame) bool { return f.Path != first.Path })
	r.Send(App, encode(wire.Frame{Type: wire.FramePathResponse, Path: first.Path}))
	r.Replies = nil
	r.Advance(10 * time.Second)
	r.Send(App, frame(wire.FramePing))
	r.Advance(100 * time.Millisecond)
	p, _ := r.WantFrame("an acknowledgment", wire.FrameAck)
	r.wantTo("RFC 9000 §8.2.3: the first challenge was answered late", p, otherHost)
}

func TestProbingPacketMovesNothing(t *testing.T) {
	r := NewRawClient(t, RawOptions{}).Connect()
	old := r.local
	r.DCID = r.newestID()
	r.local, r.AutoAck = otherHost, false
	r.Send(App, newID(1, 0), challenge(9), large())
	p, f := r.WantFrame("RFC 9000 §8.2.2: an answer on the path that the challenge came on", wire.FramePathResponse)
	r.wantTo("the answer", p, otherHost)
	if f.Path != [8]byte{9} || p.DCID != "00000001" {
		t.Errorf("answer %x to ID %q, want the challenge's data to the new ID (RFC 9000 §9.5)", f.Path, p.DCID)
	}
	r.Advance(100 * time.Millisecond)
	p, _ = r.WantFrame("an acknowledgment", wire.FrameAck)
	r.wantTo("RFC 9000 §9.1: acknowledgments stay on the old path", p, old)
}

// newestID is the last ID that the connection under test issued.
func (r *RawPeer) newestID() []byte {
	var id core.ConnID
	for _, e := range r.Events {
		if e.Kind == core.EventIDIssued {
			id = e.ID
		}
	}
	return id.Bytes()
}

func TestProbedPathIsUsedAtOnceWhenThePeerMoves(t *testing.T) {
	r := NewRawClient(t, RawOptions{}).Connect()
	r.Send(App, newID(1, 0))
	r.DCID, r.local = r.newestID(), otherHost
	r.Send(App, challenge(9), large())
	r.answer(otherHost)
	r.Replies = nil
	s, _ := r.Conn.Open(false)
	r.Conn.Write(s, make([]byte, 6000))
	r.Send(App, frame(wire.FramePing))
	sent := 0
	for _, p := range r.Replies {
		if p.To == otherHost {
			sent += p.Size
		}
	}
	if sent < 6000 {
		t.Errorf("RFC 9000 §9.3: %d bytes to a proved address, want all 6000", sent)
	}
}

func TestPeerThatChangesItsIDWithoutASpareOneIsNotAnswered(t *testing.T) {
	r := NewRawClient(t, RawOptions{}).Connect()
	r.DCID, r.local = r.newestID(), otherHost
	r.Send(App, challenge(9), large())
	r.WantNoFrame("RFC 9000 §9.5: no ID is left for another path", wire.FramePathResponse)
}

func TestOlderPacketFromAnotherAddressMovesNothing(t *testing.T) {
	r := NewRawClient(t, RawOptions{}).Connect()
	old := r.local
	late := r.NextNumber(App)
	r.Send(App, frame(wire.FramePing))
	r.Advance(100 * time.Millisecond)
	r.Replies = nil
	r.AutoAck = false
	r.local = otherHost
	r.SendNumber(App, late, stream(0, 0, "x", false))
	r.Advance(100 * time.Millisecond)
	for _, p := range r.Replies {
		r.wantTo("RFC 9000 §9.3: a reordered packet", p, old)
	}
}

func TestServerDropsPacketsFromElsewhereDuringTheHandshake(t *testing.T) {
	r := NewRawClient(t, RawOptions{})
	r.SendCrypto(Initial)
	r.Replies = nil
	before, old := r.GotBytes, r.local
	r.local = otherHost
	r.SendCrypto(Handshake)
	if r.GotBytes != before || r.Conn.Established() {
		t.Errorf("RFC 9000 §9: %d bytes to another address, established %v", r.GotBytes-before, r.Conn.Established())
	}
	r.local = old
}

func TestClientDropsPacketsFromElsewhere(t *testing.T) {
	r := NewRawServer(t, RawOptions{}).Connect()
	own := r.local
	for _, from := range []netip.AddrPort{r.remote, netip.AddrPortFrom(own.Addr(), own.Port()+1)} {
		r.local = from
		r.Send(App, challenge(1))
		r.Send(App, encode(wire.Frame{Type: wire.FrameConnectionClose}))
		r.WantNoFrame("RFC 9000 §9: an address of the server that is not in use", wire.FramePathResponse)
		r.WantOpen("and harms nothing")
	}
}

// TestHoppingAddressesAreBounded fills the core's maxPaths and maxNewPaths.
func TestHoppingAddressesAreBounded(t *testing.T) {
	for name, hop := range map[string]func(i int) netip.AddrPort{
		"port": func(i int) netip.AddrPort { return netip.AddrPortFrom(netsim.ClientV4, uint16(10_000+i)) },
		"address": func(i int) netip.AddrPort {
			return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 443)
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := NewRawClient(t, RawOptions{}).Connect()
			own := r.local
			r.Send(App, newID(1, 0), newID(2, 0), newID(3, 0))
			r.AutoAck = false
			next, got := uint64(4), map[netip.AddrPort]int{}
			for i := range 5000 {
				r.local = hop(i)
				r.Send(App, frame(wire.FramePing))
				r.Send(App, ack(r.Ranges(App)...))
				for _, p := range r.Replies {
					got[p.To] += p.Size
					for _, f := range p.Frames {
						if f.Type == wire.FrameRetireConnectionID {
							r.Send(App, newID(next, 0))
							next++
						}
					}
				}
				r.Replies = nil
				if n := r.Conn.Paths(); n > 4 {
					t.Fatalf("%d paths are kept, want at most 4", n)
				}
			}
			r.WantOpen("hopping is borne")
			if len(got) > 100 {
				t.Errorf("%d addresses were answered, want few: the clock stood still", len(got))
			}
			r.AutoAck, r.local = true, own
			r.Advance(20 * time.Second)
			r.Replies = nil
			r.Send(App, frame(wire.FramePing))
			r.Advance(100 * time.Millisecond)
			p, _ := r.WantFrame("RFC 9000 §9.3.2: the proved address is served", wire.FrameAck)
			r.wantTo("the acknowledgment", p, own)
		})
	}
}
