package check

import (
	"fmt"

	"github.com/seed51309289/quiver/internal/dissect"
	"github.com/seed51309289/quiver/internal/wire"
)

// smallMTU is what the link of mtu-blackhole carries once it has shrunk.
const smallMTU = 1280 // bytes of an IP packet

// ipSize is the size of the IP packet of a datagram.
func ipSize(d *dissect.Datagram) int {
	if d.IPv6() {
		return d.Size + 48
	}
	return d.Size + 28
}

var largePackets = criterion{
	name: "path MTU discovery",
	want: fmt.Sprintf("packets of the server above %d bytes that reach the client while the link carries them", smallMTU),
	check: func(r *run) finding {
		return r.left.with(func() finding {
			n, largest := 0, 0
			var last *dissect.Datagram
			for d := range r.left.datagrams(serverAddrs) {
				largest = max(largest, ipSize(d))
				if ipSize(d) > smallMTU {
					n, last = n+1, d
				}
			}
			return r.left.at(last, n > 0, "%d, the largest has %d bytes", n, largest)
		})
	},
}

// maxLostToHole is how many large packets a server may lose to the link before
// it sends small ones: two flights of the link's bandwidth and queue.
const maxLostToHole = 150

var sizesAdapt = criterion{
	name: "black hole detection",
	want: fmt.Sprintf("at most %d packets of the server above %d bytes that do not reach the client", maxLostToHole, smallMTU),
	check: func(r *run) finding {
		if r.left.err != nil {
			return r.left.with(nil)
		}
		return r.right.with(func() finding {
			sent, _ := aboveSmallMTU(r.right)
			got, _ := aboveSmallMTU(r.left)
			_, last := aboveSmallMTU(r.right)
			return r.right.at(last, sent-got <= maxLostToHole, "%d sent, %d arrived", sent, got)
		})
	},
}

func aboveSmallMTU(t *trace) (n int, last *dissect.Datagram) {
	for d := range t.datagrams(serverAddrs) {
		if ipSize(d) > smallMTU {
			n, last = n+1, d
		}
	}
	return n, last
}

// maxTwice is which share of the stream data may arrive twice when nothing
// was lost. The link reorders by less than the packet threshold (RFC 9002
// §6.1.1), so a sender has no reason to repeat anything but what its own
// first flight made the queue drop.
const maxTwice = 0.05

var fewRepeats = criterion{
	name: "spurious retransmission",
	want: fmt.Sprintf("at most %.0f%% of the server's stream data arrives twice", maxTwice*100),
	check: func(r *run) finding {
		return r.left.with(func() finding {
			got := map[uint64]*intervals{}
			var total, twice uint64
			for _, p := range r.left.typed(serverAddrs, wire.Packet1RTT) {
				for i := range p.Frames {
					f := &p.Frames[i]
					if !f.Type.IsStream() || f.Length == 0 {
						continue
					}
					if got[f.StreamID] == nil {
						got[f.StreamID] = &intervals{}
					}
					total += uint64(f.Length)
					twice += uint64(f.Length) - got[f.StreamID].add(f.Offset, f.Offset+uint64(f.Length))
				}
			}
			ok := total > 0 && float64(twice) <= maxTwice*float64(total)
			return r.left.finding(ok, "%d of %d bytes", twice, total)
		})
	},
}

// intervals is a set of byte ranges, sorted, disjoint and not adjacent.
type intervals struct{ list []interval }

type interval struct{ start, end uint64 }

// add puts start to end into the set and returns how much of it is new.
func (s *intervals) add(start, end uint64) (fresh uint64) {
	fresh = end - start
	i := len(s.list) // from the end, where nearly all data goes
	for i > 0 && s.list[i-1].end >= start {
		i--
	}
	j := i
	whole := interval{start, end}
	for ; j < len(s.list) && s.list[j].start <= end; j++ {
		o := s.list[j]
		if lo, hi := max(o.start, start), min(o.end, end); lo < hi {
			fresh -= hi - lo
		}
		whole.start, whole.end = min(whole.start, o.start), max(whole.end, o.end)
	}
	s.list = append(s.list[:i], append([]interval{whole}, s.list[j:]...)...)
	return fresh
}
