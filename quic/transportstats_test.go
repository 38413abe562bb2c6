package quic_test

import (
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed51309289/quiver/quic"
)

func TestTransportSumsItsConnectionsUp(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		if got := (&quic.Transport{}).Stats(); got != (quic.TransportStats{}) {
			t.Errorf("before the first use: %+v", got)
		}
		l := w.listen(&quic.Config{MaxIdleTimeout: -1})
		var want quic.TransportStats
		var servers []*quic.Conn
		for range 3 {
			c := w.dial(nil)
			s := w.accept(l)
			cs, ss := w.streams(c, s)
			ss.Write(make([]byte, 5000))
			ss.Close()
			io.Copy(io.Discard, cs)
			cs.Close()
			_, left := w.streams(c, s)
			left.Write([]byte("x"))
			servers = append(servers, s)
		}
		// wantStats compares with what the connections themselves tell.
		wantStats := func(when string, open, streams int) {
			t.Helper()
			time.Sleep(5 * time.Second)
			synctest.Wait()
			got := w.server.Stats()
			want = quic.TransportStats{Connections: open, ConnectionsBegun: 3, HandshakesCompleted: 3, StreamsActive: streams}
			for _, s := range servers {
				one := s.ConnectionStats()
				want.PacketsSent += one.PacketsSent
				want.PacketsReceived += one.PacketsReceived
				want.PacketsLost += one.PacketsLost
				want.PacketsDropped += one.PacketsDropped
				want.BytesSent += one.BytesSent
				want.BytesReceived += one.BytesReceived
				want.BytesResent += one.BytesResent
				want.StreamsOpened += one.StreamsOpened
				want.StreamsAccepted += one.StreamsAccepted
			}
			if got != want {
				t.Errorf("%s:\n got %+v\nwant %+v", when, got, want)
			}
			if got.StreamsAccepted != 6 || got.BytesSent < 15_000 {
				t.Errorf("%s: %+v, want 6 streams and 15000 bytes", when, got)
			}
		}
		wantStats("with all open", 3, 3)
		servers[1].CloseWithError(0, "")
		wantStats("with one closed", 2, 2)
		w.server.Close()
		wantStats("after Close", 0, 0)
	})
}

func TestTransportCountsHandshakesThatFailed(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		if _, err := w.dialErr(&quic.Config{HandshakeTimeout: time.Second}); err == nil {
			t.Fatal("dialed a server that does not listen")
		}
		got := w.client.Stats()
		if got.ConnectionsBegun != 1 || got.HandshakesFailed != 1 || got.HandshakesCompleted != 0 || got.Connections != 0 || got.BytesSent < 1200 {
			t.Errorf("got %+v, want one connection, begun and failed", got)
		}
	})
}
