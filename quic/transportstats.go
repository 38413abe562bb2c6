package quic

// TransportStats sums up all connections that a Transport ever had, as far as
// fields do not say otherwise. Counts only grow; sizes are bytes of UDP payload.
type TransportStats struct {
	Connections      int    // now: those that are not over, and those that still say goodbye
	ConnectionsBegun uint64 // dialed, and begun by clients

	HandshakesCompleted uint64
	HandshakesFailed    uint64 // connections that ended without one

	PacketsSent, PacketsReceived uint64
	PacketsLost                  uint64
	PacketsDropped               uint64 // received and not understood, or twice
	BytesSent, BytesReceived     uint64
	BytesResent                  uint64 // of streams and of the handshake, sent more than once

	StreamsOpened, StreamsAccepted uint64 // by us, and by the peers
	StreamsActive                  int    // now

	DatagramsSent, DatagramsReceived uint64
}

// Stats returns the present sums. It takes the lock of every connection for a
// moment, and is meant to be asked every few seconds at most. It is safe at any
// time, also before the first use and after Close.
func (t *Transport) Stats() TransportStats {
	t.mu.Lock()
	sum := t.past
	sum.Connections = len(t.conns)
	conns := make([]*Conn, 0, len(t.conns))
	for c := range t.conns {
		conns = append(conns, c)
	}
	t.mu.Unlock()
	for _, c := range conns {
		c.mu.Lock()
		s := c.core.Stats()
		if c.handshaken {
			sum.HandshakesCompleted++
		}
		c.mu.Unlock()
		sum.add(ConnectionStats(s))
		sum.StreamsActive += s.StreamsActive
	}
	return sum
}

func (sum *TransportStats) add(s ConnectionStats) {
	sum.PacketsSent += s.PacketsSent
	sum.PacketsReceived += s.PacketsReceived
	sum.PacketsLost += s.PacketsLost
	sum.PacketsDropped += s.PacketsDropped
	sum.BytesSent += s.BytesSent
	sum.BytesReceived += s.BytesReceived
	sum.BytesResent += s.BytesResent
	sum.StreamsOpened += s.StreamsOpened
	sum.StreamsAccepted += s.StreamsAccepted
	sum.DatagramsSent += s.DatagramsSent
	sum.DatagramsReceived += s.DatagramsReceived
}

// settle adds a connection that is over to the past, in the step in which it
// leaves the table: Stats counts it in one of both. The caller holds t.mu, and
// the lock of c.
func (t *Transport) settle(c *Conn) {
	if _, ok := t.conns[c]; !ok {
		return
	}
	delete(t.conns, c)
	if c.handshaken {
		t.past.HandshakesCompleted++
	} else {
		t.past.HandshakesFailed++
	}
	t.past.add(ConnectionStats(c.core.Stats()))
}
