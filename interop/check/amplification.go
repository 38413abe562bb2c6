package check

import (
	"fmt"

	"github.com/seed51309289/quiver/internal/dissect"
	"github.com/seed51309289/quiver/internal/wire"
)

// minCertificates is how much CRYPTO data a server must have for the
// handshake, so that three times a ClientHello cannot hold it.
const minCertificates = 7500 // bytes

var longChain = criterion{
	name: "size of the server's handshake",
	want: fmt.Sprintf("CRYPTO data of at least %d bytes in Handshake packets", minCertificates),
	check: func(r *run) finding {
		return r.right.with(func() finding {
			end := uint64(0)
			var last *dissect.Datagram
			for d, p := range r.right.typed(serverAddrs, wire.PacketHandshake) {
				for i := range p.Frames {
					f := &p.Frames[i]
					if n := f.Offset + uint64(f.Length); f.Type == wire.FrameCrypto && n > end {
						end, last = n, d
					}
				}
			}
			return r.right.at(last, end >= minCertificates, "%d bytes", end)
		})
	},
}

// Multiples of what came in that a server may send before the client has
// proved its address. The first is the limit (RFC 9000 §8.1); like the public
// matrix this one tolerates what stays below the second.
const (
	amplification          = 3
	toleratedAmplification = 4
)

var staysInLimit = criterion{
	name: "anti-amplification limit",
	want: "no more than three times the client's bytes from the server until the client's first Handshake packet",
	check: func(r *run) finding {
		return r.right.with(func() finding { return amplified(r.right) })
	},
}

// amplified walks through the datagrams as the server saw them. A datagram is
// what its first packet is.
func amplified(t *trace) finding {
	var got, sent int
	slid := ""
	for i := range t.index.Datagrams {
		d := &t.index.Datagrams[i]
		fromClient := clientAddrs.has(d.Src.Addr())
		switch {
		case !fromClient && !serverAddrs.has(d.Src.Addr()):
			return t.at(d, false, "a datagram from %v, who is neither of the two", d.Src)
		case len(d.Packets) == 0 || d.Packets[0].Type == wire.PacketVersionNegotiation:
			return t.at(d, false, "a datagram that is Version Negotiation or no QUIC packet")
		case fromClient && d.Packets[0].Type == wire.PacketHandshake:
			return t.at(d, true, "%d bytes in, %d bytes out until then%s", got, sent, slid)
		case fromClient && d.Packets[0].Type != wire.Packet1RTT: // which proves nothing that the server could read yet
			got += d.Size
		case !fromClient && d.Size >= toleratedAmplification*got-sent:
			return t.at(d, false, "%d bytes out after %d in", sent+d.Size, got)
		case !fromClient:
			if sent += d.Size; sent > amplification*got {
				slid = fmt.Sprintf(" (at frame %d %d bytes out after %d in, more than three times and tolerated)", d.Frame, sent, got)
			}
		}
	}
	return t.finding(false, "no datagram of the client begins with a Handshake packet")
}
