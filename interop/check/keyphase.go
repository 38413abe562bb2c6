package check

import (
	"github.com/seed51309289/quiver/internal/dissect"
	"github.com/seed51309289/quiver/internal/wire"
)

var clientUpdates = criterion{
	name: "key update of the client",
	want: "a 1-RTT packet of the client with key phase 1",
	check: func(r *run) finding {
		return r.left.with(func() finding { return phaseOne(r.left, clientAddrs) })
	},
}

var serverUpdates = criterion{
	name: "key update of the server",
	want: "a 1-RTT packet of the server with key phase 1",
	check: func(r *run) finding {
		return r.right.with(func() finding { return phaseOne(r.right, serverAddrs) })
	},
}

func phaseOne(t *trace, from addrs) finding {
	d, opened := firstOfPhaseOne(t, from)
	switch {
	case d != nil:
		return t.at(d, true, "a packet of phase 1, after %d packets of phase 0", opened)
	case opened == 0:
		return t.finding(false, "no 1-RTT packet can be decrypted, so no key phase can be read")
	}
	return t.finding(false, "%d packets, all of phase 0", opened)
}

// firstOfPhaseOne returns the datagram in which a side first uses key phase 1,
// and how many 1-RTT packets of it could be read before.
func firstOfPhaseOne(t *trace, from addrs) (d *dissect.Datagram, opened int) {
	for d, p := range t.typed(from, wire.Packet1RTT) {
		if p.Decrypted && p.KeyPhase {
			return d, opened
		}
		if p.Decrypted {
			opened++
		}
	}
	return nil, opened
}

// serverUpdatesFirst looks where the server's packets leave and the client's arrive.
var serverUpdatesFirst = criterion{
	name: "who updates keys",
	want: "the server's first packet of key phase 1 before the client's",
	check: func(r *run) finding {
		return r.right.with(func() finding {
			ours, _ := firstOfPhaseOne(r.right, serverAddrs)
			theirs, _ := firstOfPhaseOne(r.right, clientAddrs)
			switch {
			case ours == nil:
				return r.right.finding(true, "the server does not update, which another criterion says")
			case theirs == nil:
				return r.right.at(ours, true, "only the server's can be seen")
			}
			return r.right.at(ours, ours.Frame < theirs.Frame, "the server's in frame %d, the client's in frame %d", ours.Frame, theirs.Frame)
		})
	},
}
