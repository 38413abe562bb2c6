package quictest

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/internal/wire"
)

// newID encodes NEW_CONNECTION_ID number seq with an ID and token of its own.
func newID(seq, retirePriorTo uint64) []byte {
	f := wire.Frame{Type: wire.FrameNewConnectionID, Sequence: seq, RetirePriorTo: retirePriorTo, ConnID: fmt.Appendf(nil, "%08d", seq)}
	copy(f.ResetToken[:], fmt.Sprintf("%016d", seq))
	return encode(f)
}

// TestConnectionIDsAreIssuedUpToThePeersLimit fills the core's maxLocalIDs.
func TestConnectionIDsAreIssuedUpToThePeersLimit(t *testing.T) {
	for _, limit := range []uint64{2, 3, 100} {
		opts := RawOptions{Params: func(p *wire.Params) { p.ActiveConnIDLimit = limit }}
		testSides(t, opts, func(t *testing.T, r *RawPeer) {
			issued := 0
			for _, e := range r.Events {
				if e.Kind == core.EventIDIssued {
					issued++
				}
			}
			if r.client {
				issued-- // the first destination ID was the client's choice
			}
			if want := min(int(limit), 4); issued != want {
				t.Errorf("RFC 9000 §5.1.1: %d IDs issued for a limit of %d, want %d", issued, limit, want)
			}
		})
	}
}

func TestRetiredConnectionIDIsReplaced(t *testing.T) {
	testSides(t, RawOptions{}, func(t *testing.T, r *RawPeer) {
		r.Send(App, encode(wire.Frame{Type: wire.FrameRetireConnectionID, Sequence: 1}))
		_, f := r.WantFrame("RFC 9000 §5.1.1: a new ID for a retired one", wire.FrameNewConnectionID)
		if f.Sequence != 4 {
			t.Errorf("new ID has number %d, want 4", f.Sequence)
		}
		r.DCID = f.ConnID
		r.Send(App, encode(wire.Frame{Type: wire.FramePathChallenge}))
		r.WantFrame("the new ID routes", wire.FramePathResponse)
		r.Send(App, encode(wire.Frame{Type: wire.FrameRetireConnectionID, Sequence: 0}))
		r.WantOpen("retiring the first ID in a packet to another")
	})
}

func TestRetirePriorToIsObeyedAtOnce(t *testing.T) {
	testSides(t, RawOptions{}, func(t *testing.T, r *RawPeer) {
		r.Send(App, newID(1, 1))
		p, f := r.WantFrame("RFC 9000 §5.1.2: the old ID is retired", wire.FrameRetireConnectionID)
		if f.Sequence != 0 {
			t.Errorf("retired %d, want 0", f.Sequence)
		}
		if p.DCID != "00000001" {
			t.Errorf("RFC 9000 §5.1.2: sent to %q, want the new ID", p.DCID)
		}
	})
}

// TestTooManyConnectionIDsAreAnError fills the core's maxRemoteIDs.
func TestTooManyConnectionIDsAreAnError(t *testing.T) {
	testSides(t, RawOptions{}, func(t *testing.T, r *RawPeer) {
		r.Send(App, newID(1, 0), newID(2, 0), newID(3, 0))
		r.WantOpen("RFC 9000 §5.1.1: up to the limit of 4")
		r.Send(App, newID(4, 0))
		r.WantClose("one more", core.ConnectionIDLimitError)
	})
}

func TestConnectionIDConflictsAreAProtocolViolation(t *testing.T) {
	other := encode(wire.Frame{Type: wire.FrameNewConnectionID, Sequence: 1, ConnID: []byte("otherone")})
	again := encode(wire.Frame{Type: wire.FrameNewConnectionID, Sequence: 2, ConnID: []byte("00000001")})
	token := encode(wire.Frame{Type: wire.FrameNewConnectionID, Sequence: 1, ConnID: []byte("00000001")})
	for name, f := range map[string][]byte{"same number, other ID": other, "same ID, other number": again, "same number and ID, other token": token} {
		t.Run(name, func(t *testing.T) {
			testSides(t, RawOptions{}, func(t *testing.T, r *RawPeer) {
				r.Send(App, newID(1, 0))
				r.Send(App, newID(1, 0))
				r.WantOpen("RFC 9000 §19.15: a repetition is fine")
				r.Send(App, f)
				r.WantClose(name, core.ProtocolViolation)
			})
		})
	}
}

func TestNewConnectionIDForZeroLengthIDIsAProtocolViolation(t *testing.T) {
	r := NewRawClient(t, RawOptions{EmptyID: true}).Connect()
	r.Send(App, newID(1, 0))
	r.WantClose("RFC 9000 §19.15: the RawPeer uses a zero-length ID", core.ProtocolViolation)
}

// TestUnacknowledgedRetirementsAreBounded fills the core's maxRetiring.
func TestUnacknowledgedRetirementsAreBounded(t *testing.T) {
	testSides(t, RawOptions{}, func(t *testing.T, r *RawPeer) {
		r.AutoAck = false
		for seq := uint64(1); seq < 1000 && r.Conn.Err() == nil; seq++ {
			r.Send(App, newID(seq, seq))
			if seq > 8 && r.Conn.Err() == nil {
				t.Fatalf("%d retirements wait for their acknowledgment", seq)
			}
		}
		r.WantClose("RFC 9000 §5.1.2: retirements are limited", core.ConnectionIDLimitError)
	})
}

func TestAcknowledgedRetirementsGoOnForEver(t *testing.T) {
	testSides(t, RawOptions{}, func(t *testing.T, r *RawPeer) {
		for seq := uint64(1); seq < 1000; seq++ {
			r.Send(App, newID(seq, seq))
			r.Advance(time.Millisecond)
		}
		r.WantOpen("an honest peer may renew its IDs")
	})
}

func TestRetirementStormIssuesBoundedIDs(t *testing.T) {
	testSides(t, RawOptions{}, func(t *testing.T, r *RawPeer) {
		r.Send(App, frame(wire.FramePing))
		before := r.Router.Len()
		for seq := uint64(1); seq < 500; seq++ {
			r.Send(App, encode(wire.Frame{Type: wire.FrameRetireConnectionID, Sequence: seq}))
			if r.Conn.Err() != nil {
				t.Fatal(r.Conn.Err())
			}
		}
		if got := r.Router.Len(); got > before {
			t.Errorf("the router keeps %d IDs, had %d", got, before)
		}
	})
}

func TestRotationReplacesEveryIDOnce(t *testing.T) {
	m := newMover(t, otherHost, nil)
	for _, c := range []*Peer{m.client, m.server} {
		m.fetch("1000")
		m.Run(time.Second, func() bool { return false })
		before := map[string]bool{}
		for _, f := range m.flights {
			before[f.dcid] = true
		}
		if !c.RotateIDs(m.Clock.Now()) {
			t.Fatal("no rotation on a confirmed connection at rest")
		}
		if c.RotateIDs(m.Clock.Now()) {
			t.Error("a second rotation before the peer obeyed the first")
		}
		c.Flush()
		m.Run(time.Second, func() bool { return false })
		m.flights = nil
		m.fetch("1000")
		peer := map[*Peer]netip.AddrPort{m.client: m.Pair.Server.Addr, m.server: m.Pair.Client.Addr}[c]
		for _, f := range m.flights {
			if f.src == peer && before[f.dcid] {
				t.Errorf("RFC 9000 §5.1.2: %v still sends to ID %x", f.src, f.dcid)
			}
		}
	}
	if n, all := len(m.Pair.Client.Conns), m.client.Moves+m.server.Moves; n != 1 || all != 0 {
		t.Errorf("%d connections, %d moves", n, all)
	}
}

// An endpoint that is never obeyed keeps what it has.
func TestRotationIsNotRepeatedUntilThePeerObeys(t *testing.T) {
	testSides(t, RawOptions{}, func(t *testing.T, r *RawPeer) {
		r.Advance(time.Second)
		if !r.Conn.RotateIDs(r.Clock.Now()) {
			t.Fatal("no rotation")
		}
		r.Flush()
		_, f := r.WantFrame("new IDs", wire.FrameNewConnectionID)
		if f.RetirePriorTo != 4 || f.Sequence < 4 {
			t.Errorf("RFC 9000 §19.15: ID %d, retire_prior_to %d; want 4 or more, 4", f.Sequence, f.RetirePriorTo)
		}
		size := r.Router.Len()
		for range 20 {
			r.Conn.RotateIDs(r.Clock.Now())
			r.Advance(time.Second)
		}
		r.WantOpen("a peer that keeps its IDs is borne")
		if got := r.Router.Len(); got != size {
			t.Errorf("%d IDs are kept, %d after the first rotation", got, size)
		}
	})
}
