package check

import (
	"bytes"

	"github.com/seed51309289/quiver/internal/dissect"
	"github.com/seed51309289/quiver/internal/wire"
)

// startsInV1 to serverInV2 are compatible version negotiation (RFC 9368 §2.3)
// from version 1 to version 2.
var (
	startsInV1 = criterion{
		name: "version of the first flight",
		want: "client Initial packets of version 1",
		check: func(r *run) finding {
			return r.left.with(func() finding { return someVersion(r.left, clientAddrs, wire.Version1) })
		},
	}
	answersInV2 = criterion{
		name: "version of the answer",
		want: "server Initial packets of version 2 (0x6b3343cf)",
		check: func(r *run) finding {
			return r.right.with(func() finding { return someVersion(r.right, serverAddrs, wire.Version2) })
		},
	}
	clientInV2 = criterion{
		name: "version of the client's handshake",
		want: "Handshake packets of the client, all of version 2",
		check: func(r *run) finding {
			return r.left.with(func() finding { return onlyV2(r.left, clientAddrs) })
		},
	}
	serverInV2 = criterion{
		name: "version of the server's handshake",
		want: "Handshake packets of the server, all of version 2",
		check: func(r *run) finding {
			return r.right.with(func() finding { return onlyV2(r.right, serverAddrs) })
		},
	}
)

func someVersion(t *trace, from addrs, want wire.Version) finding {
	seen := ""
	for d, p := range t.typed(from, wire.PacketInitial) {
		if p.Version == want {
			return t.at(d, true, "an Initial packet of version %v", p.Version)
		}
		seen = ", the last one has " + p.Version.String()
	}
	return t.finding(false, "no Initial packet of version %v%s", want, seen)
}

func onlyV2(t *trace, from addrs) finding {
	var first *dissect.Datagram
	for d, p := range t.typed(from, wire.PacketHandshake) {
		if p.Version != wire.Version2 {
			return t.at(d, false, "a Handshake packet of version %v", p.Version)
		}
		if first == nil {
			first = d
		}
	}
	if first == nil {
		return t.finding(false, "no Handshake packet")
	}
	return t.at(first, true, "only version 2")
}

// versionRefused wants the answer to a first packet of a version that nobody knows.
var versionRefused = criterion{
	name: "Version Negotiation",
	want: "a Version Negotiation packet whose source is the destination of the client's first packet",
	check: func(r *run) finding {
		return r.left.with(func() finding { return refused(r.left) })
	},
}

func refused(t *trace) finding {
	var asked []byte
	for d := range t.datagrams(clientAddrs) {
		if d.Strange != nil {
			asked = d.Strange.DCID
			break
		}
		if len(d.Packets) > 0 && d.Packets[0].Type == wire.PacketInitial {
			asked = d.Packets[0].DCID
			break
		}
	}
	if asked == nil {
		return t.finding(false, "the client sent no first packet with a connection ID")
	}
	others := 0
	for i := range t.index.Datagrams {
		d := &t.index.Datagrams[i]
		for j := range d.Packets {
			switch p := &d.Packets[j]; {
			case p.Type != wire.PacketVersionNegotiation:
			case bytes.Equal(p.SCID, asked):
				return t.at(d, true, "one that offers %d versions", len(p.Versions))
			default:
				others++
			}
		}
	}
	return t.finding(false, "no Version Negotiation packet from %x, %d from others", asked, others)
}
