package quic

import (
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/core"
)

// ConnectionStats is what a connection measured and counted. Sizes are bytes, and
// those of packets are UDP payload. What belongs to a path is that of the path
// in use; counts are of the whole connection, and only grow.
type ConnectionStats struct {
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

// The core counts in the same terms.
var _ = ConnectionStats(core.Stats{})

// ConnectionStats returns the present measurements. It costs no more than a
// copy, and is safe at any time, also after the end of the connection.
func (c *Conn) ConnectionStats() ConnectionStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return ConnectionStats(c.core.Stats())
}
