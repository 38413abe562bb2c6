package quic

import (
	"log/slog"

	"github.com/seed51309289/quiver/internal/udp"
)

// SocketStats is what one socket got from the system, and what was lost on it
// since. Where the system does not tell, a field is zero.
type SocketStats struct {
	GSO, GRO, ECN bool // in force: datagrams sent and received in batches, and marked

	// ReceiveBuffer and SendBuffer are bytes that the system granted of the 7 MiB
	// that a Transport asks for.
	ReceiveBuffer, SendBuffer int

	Overflow  uint64 // datagrams that the system dropped because the receive buffer was full
	Truncated uint64 // datagrams that were cut, and so dropped
}

// SocketStats returns the state of the Transport's sockets, in the order in
// which they were added. Sockets that are not *net.UDPConn tell nothing. After
// Close, or before the first use, there is none.
func (t *Transport) SocketStats() []SocketStats {
	list := t.sockets.Load()
	if list == nil {
		return nil
	}
	var out []SocketStats
	for _, s := range *list {
		if s == nil {
			continue
		}
		var stats SocketStats
		if fast, ok := s.conn.(*udp.Socket); ok {
			u := fast.Stats()
			stats = SocketStats{GSO: u.GSO, GRO: u.GRO, ECN: u.ECN, ReceiveBuffer: u.ReceiveBuffer, SendBuffer: u.SendBuffer, Overflow: u.Overflow, Truncated: u.Truncated}
		}
		out = append(out, stats)
	}
	return out
}

// wantReceiveBuffer is below which a receive buffer is worth a word, in bytes.
const wantReceiveBuffer = 7 << 20

// logBuffers says once, for those who look, how a socket could get more room.
func logBuffers(s *udp.Socket) {
	if got := s.Stats().ReceiveBuffer; got > 0 && got < wantReceiveBuffer {
		slog.Debug("quic: the UDP receive buffer is small, bursts may be lost", "bytes", got, "wanted", wantReceiveBuffer, "fix", "sysctl -w net.core.rmem_max=7500000")
	}
}
