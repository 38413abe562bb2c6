package quictest

import (
	"testing"
	"time"

	"github.com/seed51309289/quiver/netsim"
)

// TestStatsAgreeWithTheNetwork compares what both sides counted with each other
// and with what the link saw.
func TestStatsAgreeWithTheNetwork(t *testing.T) {
	p := NewPair(t, Seed(t, 1), bothWays(netsim.LinkConfig{Delay: 10 * time.Millisecond, Loss: 0.02}))
	serve(p)
	runTransfer(t, p, []byte("1000000"))
	c, s := p.Client.Conns[0], p.Server.Conns[0]
	p.Run(5*time.Second, func() bool { return s.Stats().InFlight == 0 })
	cs, ss := c.Stats(), s.Stats()
	if cs.BytesSent != uint64(c.Sent) || ss.BytesSent != uint64(s.Sent) {
		t.Errorf("sent %d and %d bytes, the link took %d and %d", cs.BytesSent, ss.BytesSent, c.Sent, s.Sent)
	}
	if cs.BytesReceived != uint64(c.Received) || ss.BytesReceived != uint64(s.Received) {
		t.Errorf("received %d and %d bytes, the link gave %d and %d", cs.BytesReceived, ss.BytesReceived, c.Received, s.Received)
	}
	onTheWay := ss.PacketsSent - cs.PacketsReceived
	if lost := ss.PacketsLost - ss.PacketsSpurious; lost < 10 || onTheWay < lost || onTheWay > lost+10 {
		t.Errorf("the server sent %d packets, the client has %d, and %d are taken for lost", ss.PacketsSent, cs.PacketsReceived, lost)
	}
	if ss.BytesResent < 10*1000 || ss.BytesResent > 100*1500 {
		t.Errorf("%d bytes resent for %d lost packets", ss.BytesResent, ss.PacketsLost)
	}
	if cs.StreamsOpened != 1 || ss.StreamsAccepted != 1 || cs.StreamsActive != 0 || ss.StreamsOpened+cs.StreamsAccepted != 0 {
		t.Errorf("streams: %d opened, %d accepted, %d active, want 1, 1, 0", cs.StreamsOpened, ss.StreamsAccepted, cs.StreamsActive)
	}
	if ss.ECN != "capable" || ss.ReportedECT0 == 0 || ss.ReportedECT0 > cs.ReceivedECT0 || cs.ReceivedECT0 > cs.PacketsReceived || ss.ReportedCE != 0 {
		t.Errorf("ECN %s: %d marks reported of %d received in %d packets", ss.ECN, ss.ReportedECT0, cs.ReceivedECT0, cs.PacketsReceived)
	}
	if ss.SmoothedRTT < 20*time.Millisecond || ss.MinRTT < 20*time.Millisecond || ss.MTU != 1452 || ss.Congestion != "cubic" {
		t.Errorf("measured %+v", ss)
	}
}

func TestStatsCountWhatIsDropped(t *testing.T) {
	testSides(t, RawOptions{}, func(t *testing.T, r *RawPeer) {
		before := r.Conn.Stats()
		pkt := r.Packet(App, r.NextNumber(App), padding(40))
		r.SendDatagram(append([]byte{}, pkt...))
		r.SendDatagram(append([]byte{}, pkt...)) // twice
		pkt[30] ^= 1
		r.SendDatagram(pkt)
		got := r.Conn.Stats()
		if n := got.PacketsReceived - before.PacketsReceived; n != 1 {
			t.Errorf("%d packets received, want 1", n)
		}
		if n := got.PacketsDropped - before.PacketsDropped; n != 2 {
			t.Errorf("%d packets dropped, want the duplicate and the forgery", n)
		}
	})
}

func TestStatsCountProbeTimeouts(t *testing.T) {
	r := NewRawClient(t, RawOptions{}).Connect()
	r.AutoAck = false
	s, _ := r.Conn.Open(true)
	r.Conn.Write(s, []byte("hello"))
	r.Flush()
	before := r.Conn.Stats().ProbeTimeouts
	r.Advance(3 * time.Second)
	if n := r.Conn.Stats().ProbeTimeouts - before; n < 2 || n > 12 {
		t.Errorf("%d probe timeouts in three seconds of silence", n)
	}
}
