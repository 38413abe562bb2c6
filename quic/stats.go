package quic

import (
	"time"

	"github.com/seed51309289/quiver/internal/core"
)

// ConnectionStats is what a connection measured and counted.
type ConnectionStats struct {
	SmoothedRTT, MinRTT, LatestRTT time.Duration
	CongestionWindow, InFlight     int    // bytes
	MTU                            int    // bytes of UDP payload
	Congestion                     string // name of the controller
	KeyUpdates                     uint64 // how many there were, whoever began them (RFC 9001 §6)
	// PacketsLost were declared lost, and PacketsSpurious of them arrived after all.
	PacketsLost, PacketsSpurious uint64

	// Datagrams (RFC 9221): sent and received, dropped because newer ones took
	// their place before they were sent, and dropped because nobody received
	// them in time.
	DatagramsSent, DatagramsReceived, DatagramsDropped, DatagramsUnread uint64
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
