package quictest

import (
	"net/netip"
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/internal/wire"
	"github.com/seed51309289/quiver/netsim"
)

// Addresses that a server would rather be reached at.
var (
	preferredPort = netip.AddrPortFrom(netsim.ServerV4, 8443)
	preferredV6   = netip.AddrPortFrom(netsim.ServerV6, netsim.ServerPort)
)

// newPreferring is a mover whose server announces and hears both addresses.
func newPreferring(t *testing.T, disableMigration bool) *mover {
	m := newMover(t, netip.AddrPortFrom(netsim.ClientV6, 50000), func(side netsim.Side, cfg *core.Config) {
		if side == netsim.Right {
			cfg.PreferredV4, cfg.PreferredV6 = preferredPort, preferredV6
			cfg.DisableActiveMigration = disableMigration
		}
	})
	m.Pair.Server.More = []netip.AddrPort{preferredPort, preferredV6}
	return m
}

// prefer moves the client to a preferred address.
func (m *mover) prefer(socket int, to netip.AddrPort) {
	m.t.Helper()
	local := m.Pair.Client.Addr.Addr()
	if socket > 0 {
		local = m.Pair.Client.More[socket-1].Addr()
	}
	if err := m.client.Move(m.Clock.Now(), socket, local, to); err != nil {
		m.t.Fatal(err)
	}
	m.client.Flush()
}

func TestClientMovesToThePreferredAddress(t *testing.T) {
	for _, test := range []struct {
		name   string
		socket int
		to     netip.AddrPort
	}{{"port", 0, preferredPort}, {"other family", 1, preferredV6}} {
		t.Run(test.name, func(t *testing.T) {
			m := newPreferring(t, true)
			if v4, v6 := m.client.PreferredAddress(); v4 != preferredPort || v6 != preferredV6 {
				t.Fatalf("announced %v and %v", v4, v6)
			}
			m.fetch("100000")
			m.flights = nil
			m.prefer(test.socket, test.to)
			m.fetch("100000")
			if m.client.Moves != 1 {
				t.Errorf("RFC 9000 §9.6: moved %d times, want once although migration is disabled otherwise", m.client.Moves)
			}
			for _, f := range m.flights {
				if f.src == test.to {
					if f.size != wire.MinInitialDatagram {
						t.Errorf("first datagram from %v has %d bytes, want a challenge of 1200", f.src, f.size)
					}
					break
				}
			}
			m.Run(5*time.Second, func() bool { return false })
			m.flights = nil
			m.fetch("100000")
			if m.uses(m.Pair.Server.Addr) {
				t.Error("RFC 9000 §9.6.2: the server still sends from its first address")
			}
		})
	}
}

func TestUnreachablePreferredAddressIsLeftAlone(t *testing.T) {
	m := newPreferring(t, false)
	m.dead[preferredPort] = true
	m.prefer(0, preferredPort)
	m.Run(10*time.Second, func() bool { return m.client.MoveErr != nil })
	if m.client.MoveErr == nil || m.client.Moves != 0 {
		t.Errorf("RFC 9000 §9.6.1: %v, moved %d times; want to stay", m.client.MoveErr, m.client.Moves)
	}
	m.fetch("100000")
}

// preferredHost is an address of the server of another host.
var preferredHost = netip.AddrPortFrom(netsim.ServerV4.Next(), netsim.ServerPort)

// newPreferred is a client whose server announces preferredHost, and that has an
// ID of the server, and one for it, to spare.
func newPreferred(t *testing.T) (r *RawPeer, first netip.AddrPort) {
	r = NewRawClient(t, RawOptions{Config: func(cfg *core.Config) { cfg.PreferredV4 = preferredHost }}).Connect()
	r.Send(App, newID(1, 0))
	r.DCID = r.newestID()
	r.AutoAck = false
	r.Replies = nil
	return r, r.remote
}

// wantFrom lets the server send data, and checks where it leaves from.
func (r *RawPeer) wantFrom(what string, want netip.AddrPort) {
	r.t.Helper()
	r.Replies = nil
	s, ok := r.Conn.Open(false)
	if !ok {
		r.t.Fatal("no stream")
	}
	r.Conn.Write(s, []byte("here"))
	r.Flush()
	if p, _ := r.WantFrame(what, wire.FrameStream); p.From != want.Addr() {
		r.t.Errorf("%s: data from %v, want %v", what, p.From, want.Addr())
	}
}

func TestServerStaysUntilThePreferredAddressIsProved(t *testing.T) {
	r, first := newPreferred(t)
	r.remote = preferredHost
	r.Send(App, frame(wire.FramePing), large())
	replies := r.Replies
	if p, _ := r.WantFrame("RFC 9000 §9.6.2: the server probes from its preferred address", wire.FramePathChallenge); p.From != preferredHost.Addr() {
		t.Errorf("the challenge came from %v", p.From)
	}
	r.wantFrom("RFC 9000 §9.6.2: not proved yet", first)
	r.Replies = replies
	r.answer(r.local)
	r.wantFrom("RFC 9000 §9.6.2: proved", preferredHost)
}

func TestServerStaysWhenThePreferredAddressDoesNotAnswer(t *testing.T) {
	r, first := newPreferred(t)
	r.remote = preferredHost
	r.Send(App, frame(wire.FramePing), large())
	r.Advance(10 * time.Second)
	r.wantFrom("RFC 9000 §9.6.2: never proved", first)
}

func TestServerStaysWithAClientThatComesBackBeforeTheProof(t *testing.T) {
	r, first := newPreferred(t)
	r.remote = preferredHost
	r.Send(App, frame(wire.FramePing), large())
	replies := r.Replies
	r.remote = first
	r.Send(App, frame(wire.FramePing))
	r.Replies = replies
	r.remote = preferredHost
	r.answer(r.local)
	r.remote = first
	r.wantFrom("the newest packet came to the first address", first)
}

func TestNewerPacketsAtTheAddressThatAServerLeftAreDropped(t *testing.T) {
	r, first := newPreferred(t)
	delayed := r.NextNumber(App)
	r.remote = preferredHost
	r.Send(App, frame(wire.FramePing), large())
	r.answer(r.local)
	r.remote = first
	dropped := r.Conn.Stats().PacketsDropped
	r.Send(App, stream(0, 0, "newer", true))
	if got := r.Conn.Stats().PacketsDropped; got != dropped+1 || len(r.Opened) != 0 {
		t.Errorf("RFC 9000 §9.6.2: %d packets dropped, streams %v; want the newer packet dropped", got-dropped, r.Opened)
	}
	r.wantFrom("and nothing moves", preferredHost)
	r.SendNumber(App, delayed, stream(4, 0, "delayed", true))
	if got := r.Conn.Stats().PacketsDropped; got != dropped+1 || len(r.Opened) == 0 {
		t.Errorf("RFC 9000 §9.6.2: %d packets dropped, streams %v; want the delayed one processed", got-dropped, r.Opened)
	}
	r.wantFrom("nor then", preferredHost)
	r.remote = preferredHost
	r.Send(App, stream(0, 0, "newer", true))
	if len(r.Opened) != 2 {
		t.Errorf("streams %v, want that of the lost packet, too", r.Opened)
	}
}

func TestIDOfThePreferredAddressCountsAndHasNumberOne(t *testing.T) {
	preferred := &wire.PreferredAddress{V4: preferredPort, ConnID: []byte("00000001")}
	copy(preferred.ResetToken[:], "0000000000000001")
	r := NewRawServer(t, RawOptions{Params: func(p *wire.Params) { p.Preferred = preferred }}).Connect()
	r.Send(App, newID(1, 0))
	r.WantOpen("RFC 9000 §5.1.1: the ID has number 1, this is a repetition")
	r.Send(App, newID(2, 0), newID(3, 0))
	r.WantOpen("RFC 9000 §5.1.1: four IDs in all")
	r.Send(App, newID(4, 0))
	r.WantClose("one more", core.ConnectionIDLimitError)
}

func TestServerCountsTheIDOfItsPreferredAddress(t *testing.T) {
	r := NewRawClient(t, RawOptions{Config: func(cfg *core.Config) { cfg.PreferredV4 = preferredPort }})
	r.SendCrypto(Initial)
	r.SendCrypto(Handshake)
	p := r.Params().Preferred
	if p == nil || p.V4 != preferredPort || p.V6.IsValid() || len(p.ConnID) != core.LocalIDLen {
		t.Fatalf("preferred_address %+v", p)
	}
	if p.ResetToken != r.cfg.ResetKey.Token(p.ConnID) {
		t.Error("RFC 9000 §18.2: the token is not that of the connection ID")
	}
	r.Connect()
	first := r.DCID
	r.DCID = p.ConnID
	r.Send(App, challenge(3))
	r.WantFrame("the ID routes", wire.FramePathResponse)
	r.DCID = first
	r.Send(App, encode(wire.Frame{Type: wire.FrameRetireConnectionID, Sequence: 1}))
	if _, f := r.WantFrame("an ID for the one that is gone", wire.FrameNewConnectionID); f.Sequence != 4 {
		t.Errorf("RFC 9000 §5.1.1: next ID has number %d, want 4 after 0 to 3", f.Sequence)
	}
}

func TestPreferredAddressOfAServerWithoutIDsIsAnError(t *testing.T) {
	preferred := &wire.PreferredAddress{V4: preferredPort, ConnID: []byte("00000001")}
	r := NewRawServer(t, RawOptions{EmptyID: true, Params: func(p *wire.Params) { p.Preferred = preferred }})
	r.SendCrypto(Initial)
	r.SendCrypto(Handshake)
	r.WantClose("RFC 9000 §18.2", core.TransportParameterError)
}
