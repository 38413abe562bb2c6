package core

import (
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/recovery"
	"github.com/seed51309289/quiver/internal/wire"
)

// counters count what nobody else does. They only grow.
type counters struct {
	packetsSent, packetsReceived, packetsDropped uint64
	bytesSent, bytesReceived                     uint64 // UDP payload
	bytesResent                                  uint64 // stream and handshake data
	probeTimeouts                                uint64
	pathsValidated                               uint64
	marks                                        recovery.ECNCounts // received in discarded spaces
}

// Stats is what a connection measured and counted. Sizes are bytes, and those of
// packets are UDP payload. What belongs to a path is that of the path in use.
type Stats struct {
	SmoothedRTT, MinRTT, LatestRTT time.Duration
	RTTVar                         time.Duration
	CongestionWindow, InFlight     int
	PacingRate                     uint64 // bytes per second; 0 = not limited
	MTU                            int
	Congestion                     string // name of the controller
	ECN                            string // testing, unknown, capable, failed or off (RFC 9000 §A.4)

	PacketsSent, PacketsReceived uint64
	PacketsLost, PacketsSpurious uint64 // spurious: of the lost, those that came after all
	PacketsDropped               uint64 // received and not understood, or twice
	BytesSent, BytesReceived     uint64
	BytesResent                  uint64 // of streams and of the handshake, sent more than once
	ProbeTimeouts                uint64 // RFC 9002 §6.2

	// Marks on packets that came, and those that the peer says came.
	ReceivedECT0, ReceivedECT1, ReceivedCE uint64
	ReportedECT0, ReportedECT1, ReportedCE uint64

	KeyUpdates     uint64
	PathsValidated uint64 // RFC 9000 §8.2

	StreamsOpened, StreamsAccepted uint64 // by us, and by the peer
	StreamsActive                  int

	// Datagrams (RFC 9221): sent and received, dropped because newer ones took
	// their place before they were sent, and dropped because nobody received
	// them in time.
	DatagramsSent, DatagramsReceived, DatagramsDropped, DatagramsUnread uint64

	Extensions          []hook.ExtensionStats // those attached, and the last that were; nil = none
	PluginFramesIgnored uint64                // frames of plugins that are over, or not ready yet
}

// Stats returns the present measurements.
func (c *Conn) Stats() Stats {
	p, n, t := c.path.rec, &c.count, &c.streams
	s := Stats{
		SmoothedRTT: p.RTT.Smoothed(), MinRTT: p.RTT.Min(), LatestRTT: p.RTT.Latest(), RTTVar: p.RTT.Var(),
		CongestionWindow: p.Congestion().Window(), InFlight: p.BytesInFlight(), PacingRate: p.PacingRate(),
		MTU: p.MTU.Current(), Congestion: p.Congestion().Name(), ECN: p.ECN.State(),
		PacketsSent: n.packetsSent, PacketsReceived: n.packetsReceived, PacketsDropped: n.packetsDropped,
		BytesSent: n.bytesSent, BytesReceived: n.bytesReceived, BytesResent: n.bytesResent,
		ProbeTimeouts: n.probeTimeouts,
		KeyUpdates:    c.keys.number, PathsValidated: n.pathsValidated,
		StreamsOpened: t.opened[0] + t.opened[1], StreamsAccepted: t.accepted[0] + t.accepted[1], StreamsActive: len(t.byID),
	}
	if d := c.datagrams; d != nil {
		s.DatagramsSent, s.DatagramsReceived, s.DatagramsDropped, s.DatagramsUnread = d.sent, d.received, d.dropped, d.unread
	}
	if c.exch != nil {
		s.PluginFramesIgnored = c.exch.ignored
	}
	if c.ext != nil {
		s.Extensions = c.ExtensionStats(nil)
		s.PluginFramesIgnored += c.ext.strays
	}
	s.PacketsLost, s.PacketsSpurious = c.det.Lost()
	got := n.marks
	for i := range c.spaces {
		if s := &c.spaces[i]; !s.discarded {
			got.Add(s.recv.ECN())
		}
	}
	s.ReceivedECT0, s.ReceivedECT1, s.ReceivedCE = got.ECT0, got.ECT1, got.CE
	told := c.det.ReportedECN()
	s.ReportedECT0, s.ReportedECT1, s.ReportedCE = told.ECT0, told.ECT1, told.CE
	return s
}

// countResent counts those of the bytes [start, end) of a stream that left
// before: what lies below next.
func (c *Conn) countResent(start, end, next uint64) {
	if start < next {
		c.count.bytesResent += min(end, next) - start
	}
}

// dropPacket counts and records a packet that is thrown away, and why.
func (c *Conn) dropPacket(now hook.Instant, t wire.PacketType, size int, trigger string) {
	c.count.packetsDropped++
	c.log.PacketDropped(now, t, size, trigger)
}
