package check

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/seed51309289/quiver/internal/dissect"
	"github.com/seed51309289/quiver/internal/wire"
)

var twoHandshakes = handshakes(2)

// certificateOnce looks at two connections as the server's Handshake packets
// tell them apart: the first proves itself by a certificate, the second by the
// session of the first. Whether there was 0-RTT does not matter.
var certificateOnce = criterion{
	name: "TLS resumption",
	want: "two connections, of which the server sends a Certificate on the first only",
	check: func(r *run) finding {
		return r.left.with(func() finding { return certificates(r.left) })
	},
}

func certificates(t *trace) finding {
	var ids [][]byte
	conns := map[string]*dissect.Conn{}
	var newest *dissect.Datagram
	for d, p := range t.typed(serverAddrs, wire.PacketHandshake) {
		if known := slices.ContainsFunc(ids, func(id []byte) bool { return bytes.Equal(id, p.SCID) }); !known {
			ids, newest = append(ids, p.SCID), d
		}
		if p.Decrypted {
			conns[string(p.SCID)] = p.Conn
		}
	}
	if len(ids) != 2 {
		return t.at(newest, false, "Handshake packets of the server with %d source connection IDs", len(ids))
	}
	if first := certificateOf(conns[string(ids[0])]); first == nil {
		return t.finding(false, "no Certificate on the first connection (%x)", ids[0])
	}
	if second := certificateOf(conns[string(ids[1])]); second != nil {
		return t.at(t.frame(second.Frame), false, "a Certificate of %d bytes on the second connection (%x)", second.Length, ids[1])
	}
	return t.at(newest, true, "a Certificate on %x, none on %x", ids[0], ids[1])
}

func certificateOf(c *dissect.Conn) *dissect.Message {
	if c == nil {
		return nil
	}
	return c.Message(false, dissect.TLSCertificate)
}

// maxOneRTT is what a client may send in 1-RTT packets when its requests, 40
// of them with names of 250 bytes, went out in 0-RTT packets: half of the names.
const maxOneRTT = 40 * 250 / 2

var earlyRequests = criterion{
	name: "0-RTT",
	want: fmt.Sprintf("0-RTT packets of the client, and at most %d bytes in its 1-RTT packets of both connections", maxOneRTT),
	check: func(r *run) finding {
		return r.left.with(func() finding {
			early, late := 0, 0
			var first *dissect.Datagram
			for d, p := range r.left.packets(clientAddrs) {
				switch p.Type {
				case wire.Packet0RTT:
					if early += p.PayloadSize; first == nil {
						first = d
					}
				case wire.Packet1RTT:
					late += p.PayloadSize
				}
			}
			return r.left.at(first, early > 0 && late <= maxOneRTT, "%d bytes in 0-RTT packets, %d in 1-RTT packets", early, late)
		})
	},
}
