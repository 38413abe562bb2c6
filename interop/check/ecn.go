package check

import (
	"github.com/seed51309289/quiver/internal/wire"
)

// The two ECN bits (RFC 3168 §5).
const (
	notECT = 0
	ce     = 3
)

// The public matrix looks at the first packet of a datagram only when it
// searches for ACKs; all of them count here.
var (
	clientMarks = criterion{
		name: "ECN marks of the client",
		want: "at least one datagram with ECT(0) or ECT(1), none with CE",
		check: func(r *run) finding {
			return r.left.with(func() finding { return marks(r.left, clientAddrs) })
		},
	}
	serverMarks = criterion{
		name: "ECN marks of the server",
		want: "at least one datagram with ECT(0) or ECT(1), none with CE",
		check: func(r *run) finding {
			return r.right.with(func() finding { return marks(r.right, serverAddrs) })
		},
	}
	clientCounts = criterion{
		name: "ECN counts of the client",
		want: "an ACK frame with ECN counts",
		check: func(r *run) finding {
			return r.left.with(func() finding { return counts(r.left, clientAddrs) })
		},
	}
	serverCounts = criterion{
		name: "ECN counts of the server",
		want: "an ACK frame with ECN counts",
		check: func(r *run) finding {
			return r.right.with(func() finding { return counts(r.right, serverAddrs) })
		},
	}
)

func marks(t *trace, from addrs) finding {
	total, marked := 0, 0
	for d := range t.datagrams(from) {
		total++
		switch d.ECN {
		case notECT:
		case ce:
			return t.at(d, false, "a datagram with CE, which only a router may set")
		default:
			marked++
		}
	}
	return t.finding(marked > 0, "%d of %d datagrams are ECN-capable", marked, total)
}

func counts(t *trace, from addrs) finding {
	acks := 0
	for d, p := range t.packets(from) {
		for i := range p.Frames {
			f := &p.Frames[i]
			switch {
			case f.Type == wire.FrameAckECN && f.Ack != nil && f.Ack.ECN != nil:
				return t.at(d, true, "ECT(0) %d, ECT(1) %d, CE %d", f.Ack.ECN.ECT0, f.Ack.ECN.ECT1, f.Ack.ECN.CE)
			case f.Type == wire.FrameAck:
				acks++
			}
		}
	}
	return t.finding(false, "%d ACK frames without counts", acks)
}
