package check

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"slices"
	"strings"

	"github.com/seed51309289/quiver/internal/dissect"
	"github.com/seed51309289/quiver/internal/wire"
)

var oneHandshake = handshakes(1)

// handshakes wants so many connections, as the server's Initial packets tell
// them apart. A Retry adds none.
func handshakes(want int) criterion {
	return criterion{
		name: "number of handshakes",
		want: fmt.Sprintf("exactly %d different source connection IDs in the server's Initial packets", want),
		check: func(r *run) finding {
			return r.right.with(func() finding {
				ids, last := serverIDs(r.right)
				if len(ids) == 0 {
					return r.right.finding(false, "the server sent no Initial packet")
				}
				return r.right.at(last, len(ids) == want, "%d (%s)", len(ids), hexList(ids))
			})
		},
	}
}

// serverIDs returns the different source connection IDs of the server's
// Initial packets, and the datagram in which the last of them is first seen.
func serverIDs(t *trace) (ids [][]byte, last *dissect.Datagram) {
	for d, p := range t.typed(serverAddrs, wire.PacketInitial) {
		if slices.ContainsFunc(ids, func(id []byte) bool { return bytes.Equal(id, p.SCID) }) {
			continue
		}
		ids, last = append(ids, p.SCID), d
	}
	return ids, last
}

func hexList(ids [][]byte) string {
	const most = 6
	var list []string
	for _, id := range ids[:min(len(ids), most)] {
		list = append(list, fmt.Sprintf("%x", id))
	}
	if len(ids) > most {
		list = append(list, "…")
	}
	return strings.Join(list, ", ")
}

var versionOne = criterion{
	name: "QUIC version",
	want: "only version 1 (0x00000001) in the server's Initial packets",
	check: func(r *run) finding {
		return r.right.with(func() finding {
			var first *dissect.Datagram
			for d, p := range r.right.typed(serverAddrs, wire.PacketInitial) {
				if p.Version != wire.Version1 {
					return r.right.at(d, false, "an Initial packet has version 0x%08x", uint32(p.Version))
				}
				if first == nil {
					first = d
				}
			}
			if first == nil {
				return r.right.finding(false, "the server sent no Initial packet")
			}
			return r.right.at(first, true, "only version 1")
		})
	},
}

var noRetry = criterion{
	name: "address validation",
	want: "no Retry packet",
	check: func(r *run) finding {
		return r.left.with(func() finding {
			for i := range r.left.index.Datagrams {
				d := &r.left.index.Datagrams[i]
				for j := range d.Packets {
					if d.Packets[j].Type == wire.PacketRetry {
						return r.left.at(d, false, "a Retry packet from %v", d.Src.Addr())
					}
				}
			}
			return r.left.finding(true, "no Retry packet")
		})
	},
}

// helloRepeated counts what a long round trip must provoke: the client's timer
// runs out before the answer can be there. A packet counts if it repeats CRYPTO
// bytes, and so does the first one of each connection.
var helloRepeated = criterion{
	name: "ClientHello retransmission",
	want: "at least 2 Initial packets of the client that carry the ClientHello anew",
	check: func(r *run) finding {
		return r.left.with(func() finding {
			count := 0
			var last *dissect.Datagram
			begun := map[*dissect.Conn]bool{}
			for d, p := range r.left.typed(clientAddrs, wire.PacketInitial) {
				carries, repeats := cryptoOf(p)
				if !carries || !repeats && begun[p.Conn] {
					continue
				}
				begun[p.Conn] = true
				count++
				last = d
			}
			return r.left.at(last, count >= 2, "%d", count)
		})
	},
}

// cryptoOf reports whether a packet has CRYPTO data, and whether some of it was sent before.
func cryptoOf(p *dissect.Packet) (carries, repeats bool) {
	for i := range p.Frames {
		if f := &p.Frames[i]; f.Type == wire.FrameCrypto && f.Length > 0 {
			carries = true
			repeats = repeats || f.Seen > 0
		}
	}
	return carries, repeats
}

// chachaOffered looks at the first suite of each ClientHello, as the public
// matrix in effect does; the evidence shows the whole list.
var chachaOffered = criterion{
	name: "cipher suites offered",
	want: "TLS_CHACHA20_POLY1305_SHA256 (0x1303) as the client's first",
	check: func(r *run) finding {
		return r.left.with(func() finding {
			var good *finding
			for _, c := range r.left.index.Conns {
				if c.ClientHello == nil || !clientAddrs.has(c.Client.Addr()) {
					continue
				}
				d := r.left.frame(c.ClientHello.Frame)
				suites := c.ClientHello.Suites
				if len(suites) == 0 || suites[0] != tls.TLS_CHACHA20_POLY1305_SHA256 {
					return r.left.at(d, false, "a ClientHello offers %s", suiteList(suites))
				}
				f := r.left.at(d, true, "%s", suiteList(suites))
				good = &f
			}
			if good == nil {
				return r.left.finding(false, "no complete ClientHello")
			}
			return *good
		})
	},
}

func suiteList(suites []uint16) string {
	const most = 6
	var names []string
	for _, s := range suites[:min(len(suites), most)] {
		names = append(names, tls.CipherSuiteName(s))
	}
	if len(suites) > most {
		names = append(names, "…")
	}
	if len(names) == 0 {
		return "no cipher suite"
	}
	return strings.Join(names, ", ")
}

// maxInitialStreams is the highest stream limit with which a server can still
// show that it raises it: the client opens 1,999.
const maxInitialStreams = 1000

var streamLimit = criterion{
	name: "initial stream limit",
	want: fmt.Sprintf("a transport parameter initial_max_streams_bidi of the server, of at most %d", maxInitialStreams),
	check: func(r *run) finding {
		return r.left.with(func() finding {
			best := r.left.finding(false, "no such transport parameter in any packet that %s decrypts", r.keyLogName)
			for _, c := range r.left.index.Conns {
				if c.EncryptedExtensions == nil || !serverAddrs.has(c.Server.Addr()) {
					continue
				}
				n, ok := c.EncryptedExtensions.Params.Int(dissect.ParamInitialMaxStreamsBidi)
				if !ok {
					continue
				}
				best = r.left.at(r.left.frame(c.EncryptedExtensions.Frame), n <= maxInitialStreams, "%d", n)
				if !best.ok {
					return best
				}
			}
			return best
		})
	},
}

var retrySent = criterion{
	name: "Retry packet",
	want: "at least one from the server, each with a token",
	check: func(r *run) finding {
		return r.left.with(func() finding {
			count := 0
			var first *dissect.Datagram
			for d, p := range r.left.typed(serverAddrs, wire.PacketRetry) {
				if len(p.Token) == 0 {
					return r.left.at(d, false, "a Retry packet without a token")
				}
				if count++; first == nil {
					first = d
				}
			}
			return r.left.at(first, count > 0, "%d", count)
		})
	},
}

var retryTokenUsed = criterion{
	name: "Retry token",
	want: "a client Initial with the Retry's token and a packet number above those sent without a token",
	check: func(r *run) finding {
		return r.left.with(func() finding { return retryToken(r.left) })
	},
}

func retryToken(t *trace) finding {
	tokens := map[string]bool{}
	for _, p := range t.typed(serverAddrs, wire.PacketRetry) {
		tokens[string(p.Token)] = true
	}
	highest := int64(-1)
	other := 0
	for d, p := range t.typed(clientAddrs, wire.PacketInitial) {
		if p.Number < 0 {
			continue // it does not authenticate, so its number is not known
		}
		if len(p.Token) == 0 {
			highest = max(highest, p.Number)
			continue
		}
		if p.Number <= highest {
			return t.at(d, false, "the first packet with a token has number %d, after number %d without one", p.Number, highest)
		}
		if tokens[string(p.Token)] {
			return t.at(d, true, "packet %d carries it, the highest number before was %d", p.Number, highest)
		}
		other++
	}
	if other > 0 {
		return t.finding(false, "%d client Initial packets have a token, none of them a Retry's", other)
	}
	return t.finding(false, "no client Initial packet has a token")
}

var onlyIPv6 = criterion{
	name: "IP version",
	want: "no IPv4 packet from the server",
	check: func(r *run) finding {
		return r.right.with(func() finding {
			count := 0
			for i := range r.right.index.Datagrams {
				d := &r.right.index.Datagrams[i]
				if d.Src.Addr() == serverAddrs[0] {
					return r.right.at(d, false, "a packet from %v", d.Src)
				}
				if d.Src.Addr() == serverAddrs[1] {
					count++
				}
			}
			return r.right.finding(true, "%d datagrams from the server, all IPv6", count)
		})
	},
}

// frame returns the datagram of a frame number, or nil.
func (t *trace) frame(n int) *dissect.Datagram {
	i, ok := slices.BinarySearchFunc(t.index.Datagrams, n, func(d dissect.Datagram, n int) int { return d.Frame - n })
	if !ok {
		return nil
	}
	return &t.index.Datagrams[i]
}
