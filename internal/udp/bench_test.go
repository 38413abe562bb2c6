package udp

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"
)

const benchSegment = 1350

// BenchmarkSendReceive sends bursts over loopback and reads them back on the same goroutine, so that it prices system
// calls and the kernel's path and no scheduling. gso is the datagrams of a Write, burst the Writes before reading,
// slots the trains a Read may return (1 is as good as recvmsg).
//
// What it decided: Read always uses recvmmsg. Without GRO, 8 slots save a fifth of the whole price of a datagram
// (1950 -> 1550 ns at gso=48). With GRO both cost the same within noise (210 ns at gso=48, 1650 at gso=4), however
// many trains wait. Where one lone datagram waits, the second look into the queue costs at most 3 % of 6.3 us.
func BenchmarkSendReceive(b *testing.B) {
	for _, gro := range []bool{true, false} {
		for _, gso := range []int{48, 16, 4, 1} {
			for _, burst := range []int{1, 8} {
				for _, slots := range []int{1, 8} {
					name := fmt.Sprintf("gso=%d/gro=%t/burst=%d/slots=%d", gso, gro, burst, slots)
					b.Run(name, func(b *testing.B) { benchSendReceive(b, gso, burst, slots, Config{DisableGRO: !gro}) })
				}
			}
		}
	}
	b.Run("sendmmsg=48/gro=true/burst=1/slots=8", func(b *testing.B) {
		benchSendReceive(b, 48, 1, 8, Config{DisableGSO: true})
	})
}

func benchSendReceive(b *testing.B, gso, burst, slots int, cfg Config) {
	dst, src := listen(b, "udp4", "127.0.0.1:0", cfg), listen(b, "udp4", "127.0.0.1:0", cfg)
	buf := make([]byte, gso*benchSegment)
	trains := make([]Train, slots)
	if err := dst.SetReadDeadline(time.Now().Add(5 * time.Minute)); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(benchSegment)
	b.ReportAllocs()
	b.ResetTimer()
	for done := 0; done < b.N; {
		for range burst {
			if err := src.Write(buf, benchSegment, dst.LocalAddr(), netip.Addr{}, 0); err != nil {
				b.Fatal(err)
			}
		}
		for want := gso * burst; want > 0; {
			n, err := dst.Read(trains)
			if err != nil {
				b.Fatalf("%v with %d of a burst missing; %+v", err, want, dst.Stats())
			}
			for i := range n {
				want -= trains[i].Len()
			}
		}
		done += gso * burst
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N), "ns/dgram")
	b.ReportMetric(0, "ns/op")
}

func listen(t testing.TB, network, addr string, cfg Config) *Socket {
	t.Helper()
	s, err := Listen(context.Background(), network, addr, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}
