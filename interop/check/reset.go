package check

import (
	"time"

	"github.com/seed51309289/quiver/internal/dissect"
	"github.com/seed51309289/quiver/internal/wire"
)

// noteReset is what the dissector says of a datagram that ends in a known token.
const noteReset = "stateless reset"

// resetGrace is how long after a reset packets of its connection may still
// leave the client: they were on their way within the machine.
const resetGrace = 100 * time.Millisecond

// resetDeadline is how soon after a reset the client must have begun anew. It
// is far below any idle timeout, by which it would notice too.
const resetDeadline = 5 * time.Second

var resetSent = criterion{
	name: "stateless reset",
	want: "a datagram of the server that ends in a stateless reset token of the connection",
	check: func(r *run) finding {
		return r.left.with(func() finding {
			d := firstReset(r.left)
			return r.left.at(d, d != nil, "%s", map[bool]string{true: "one of the server", false: "none"}[d != nil])
		})
	},
}

func firstReset(t *trace) *dissect.Datagram {
	for d, p := range t.typed(serverAddrs, wire.Packet1RTT) {
		if p.Note == noteReset {
			return d
		}
	}
	return nil
}

var resetHeeded = criterion{
	name: "end of the connection that was reset",
	want: "no packet of the client on it after the reset (RFC 9000 §10.3.1)",
	check: func(r *run) finding {
		return r.left.with(func() finding {
			reset := firstReset(r.left)
			if reset == nil || len(r.left.index.Conns) == 0 {
				return r.left.finding(true, "there was no reset, which another criterion says")
			}
			for d, p := range r.left.packets(clientAddrs) {
				if p.Conn == r.left.index.Conns[0] && d.Time > reset.Time+resetGrace {
					return r.left.at(d, false, "a packet %v after the reset", (d.Time - reset.Time).Round(time.Millisecond))
				}
			}
			return r.left.at(reset, true, "none")
		})
	},
}

var resetNoticed = criterion{
	name: "reaction to the reset",
	want: "a new connection of the client within " + resetDeadline.String() + " of the reset",
	check: func(r *run) finding {
		return r.left.with(func() finding {
			reset := firstReset(r.left)
			if reset == nil {
				return r.left.finding(true, "there was no reset, which another criterion says")
			}
			for d, p := range r.left.typed(clientAddrs, wire.PacketInitial) {
				if d.Time > reset.Time && p.Conn != nil && p.Conn != r.left.index.Conns[0] {
					after := d.Time - reset.Time
					return r.left.at(d, after <= resetDeadline, "one after %v", after.Round(time.Millisecond))
				}
			}
			return r.left.finding(false, "none")
		})
	},
}
