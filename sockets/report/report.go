// Package report puts what tunnels measure into the form in which programs are
// shown: by quiver run and by gateways alike.
package report

import (
	"net/netip"

	"github.com/seed51309289/quiver/sockets/control"
	"github.com/seed51309289/quiver/sockets/identity"
	"github.com/seed51309289/quiver/sockets/tunnel"
)

// Streams are the streams of QUIC connections, each by the TCP connection that
// it carries.
type Streams map[key]tunnel.StreamInfo // bounded by the connections that it was made of

type key struct {
	dialed       bool
	dest, source netip.AddrPort
}

// Of returns how each connection looks from outside, and the streams of all.
func Of(id *identity.Identity, tunnels []tunnel.ConnInfo) ([]control.Peer, Streams) {
	peers, streams := make([]control.Peer, 0, len(tunnels)), Streams{}
	for i := range tunnels {
		info := &tunnels[i]
		peers = append(peers, peer(id, info))
		for _, s := range info.Streams {
			streams[key{info.Dialed, s.Dest, s.Source}] = s
		}
	}
	return peers, streams
}

// Find returns what is known of a stream now; nil has nothing. dialed says that
// it was opened here.
func (all Streams) Find(dialed bool, s *tunnel.Stream) tunnel.StreamInfo {
	if s == nil {
		return tunnel.StreamInfo{}
	}
	open := s.Open()
	return all[key{dialed, open.Dest, open.Source}]
}

func peer(id *identity.Identity, info *tunnel.ConnInfo) control.Peer {
	st := &info.Stats
	p := control.Peer{
		Address: info.Peer, Direction: control.In, Identity: name(id.Of(info.State.TLS)), State: "open", Since: info.Since,
		RTT: st.SmoothedRTT, MinRTT: st.MinRTT, CongestionWindow: st.CongestionWindow,
		PacketsSent: st.PacketsSent, PacketsLost: st.PacketsLost, BytesSent: st.BytesSent, BytesReceived: st.BytesReceived,
		StreamsOpen: len(info.Streams), StreamsTotal: info.StreamsEver,
		ZeroRTT: info.State.Used0RTT, Migrations: int(st.PathsValidated),
	}
	if info.Dialed {
		p.Direction = control.Out
	}
	return p
}

// name returns how we know somebody: by what an authority vouches for, or by the
// key.
func name(who identity.Peer) string {
	switch {
	case len(who.SPIFFE) > 0:
		return who.SPIFFE[0]
	case len(who.Names) > 0:
		return who.Names[0]
	case who.Key != identity.Pin{}:
		return "sha256:" + who.Key.String()
	}
	return ""
}
