//go:build unix

package tunnel

import (
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"
)

// cpuTime returns what the process used so far, in user and kernel.
func cpuTime() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// switches returns how often a thread of the process gave its processor away so far.
func switches() int64 {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return int64(u.Nvcsw)
}

// BenchmarkTransfer sends 16 MiB per round one way, in pieces as iperf3 does:
// on a bare stream, on a TCP connection through a tunnel, and on plain TCP. The
// tunnel's two processes and both programs are this one: cpu-s/GiB counts all.
func BenchmarkTransfer(b *testing.B) {
	b.Run("stream", func(b *testing.B) {
		near, far := onLoopback(b, Options{}).pair()
		b.Cleanup(func() { near.Close(); far.Close() })
		benchmarkTransfer(b, near, far)
	})
	b.Run("pump", func(b *testing.B) {
		p := onLoopback(b, Options{}).pumped()
		benchmarkTransfer(b, p.near, p.far)
	})
	b.Run("tcp", func(b *testing.B) {
		near, far := tcpPair(b)
		benchmarkTransfer(b, near, far)
	})
}

func benchmarkTransfer(b *testing.B, near, far net.Conn) {
	const size, piece = 16 << 20, 128 << 10
	go func() {
		in := make([]byte, piece)
		for {
			for n := 0; n < size; {
				m, err := far.Read(in)
				if err != nil {
					return
				}
				n += m
			}
			far.Write(in[:1])
		}
	}()
	out := make([]byte, piece)
	round := func() {
		for n := 0; n < size; n += len(out) {
			if _, err := near.Write(out); err != nil {
				b.Fatal(err)
			}
		}
		if _, err := io.ReadFull(near, out[:1]); err != nil {
			b.Fatal(err)
		}
	}
	for range 5 { // windows, path MTU and buffers find their size
		round()
	}
	b.SetBytes(size)
	b.ReportAllocs()
	start := cpuTime()
	for b.Loop() {
		round()
	}
	b.ReportMetric((cpuTime()-start).Seconds()/(float64(b.N)*size/(1<<30)), "cpu-s/GiB")
}

// BenchmarkPingPong sends a byte there and one back.
func BenchmarkPingPong(b *testing.B) {
	b.Run("stream", func(b *testing.B) {
		near, far := onLoopback(b, Options{}).pair()
		b.Cleanup(func() { near.Close(); far.Close() })
		benchmarkPingPong(b, near, far)
	})
	b.Run("pump", func(b *testing.B) {
		p := onLoopback(b, Options{}).pumped()
		benchmarkPingPong(b, p.near, p.far)
	})
	b.Run("tcp", func(b *testing.B) {
		near, far := tcpPair(b)
		benchmarkPingPong(b, near, far)
	})
}

func benchmarkPingPong(b *testing.B, near, far net.Conn) {
	go func() {
		in := make([]byte, 1)
		for {
			if _, err := far.Read(in); err != nil {
				return
			}
			far.Write(in)
		}
	}()
	ball := make([]byte, 1)
	b.ReportAllocs()
	start := cpuTime()
	for b.Loop() {
		near.Write(ball)
		if _, err := near.Read(ball); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64((cpuTime()-start).Nanoseconds())/float64(b.N), "cpu-ns/op")
}

// BenchmarkCrowd has fifty clients send a request and wait for its answer, as
// redis-benchmark does.
func BenchmarkCrowd(b *testing.B) {
	const clients = 50
	b.Run("pump", func(b *testing.B) {
		w := onLoopback(b, Options{})
		var near, far []net.Conn
		for range clients {
			p := w.pumped()
			near, far = append(near, p.near), append(far, p.far)
		}
		sent := func() uint64 { return w.client.Stats().PacketsSent + w.server.Stats().PacketsSent }
		before := sent()
		benchmarkCrowd(b, near, far)
		b.ReportMetric(float64(sent()-before)/float64(b.N), "packets/op")
	})
	b.Run("tcp", func(b *testing.B) {
		var near, far []net.Conn
		for range clients {
			n, f := tcpPair(b)
			near, far = append(near, n), append(far, f)
		}
		benchmarkCrowd(b, near, far)
	})
}

func benchmarkCrowd(b *testing.B, near, far []net.Conn) {
	const size = 64
	for _, c := range far {
		go func() {
			in := make([]byte, size)
			for {
				if _, err := io.ReadFull(c, in); err != nil {
					return
				}
				c.Write(in)
			}
		}()
	}
	start, switched := cpuTime(), switches()
	left := make(chan struct{}, b.N)
	for range b.N {
		left <- struct{}{}
	}
	close(left)
	var wg sync.WaitGroup
	for _, c := range near {
		wg.Go(func() {
			buf := make([]byte, size)
			for range left {
				c.Write(buf)
				if _, err := io.ReadFull(c, buf); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(switches()-switched)/float64(b.N), "switches/op")
	b.ReportMetric(float64((cpuTime()-start).Nanoseconds())/float64(b.N), "cpu-ns/op")
}

// BenchmarkDial opens a stream, waits for the STATUS, and closes it: one after
// the other, and fifty at once.
func BenchmarkDial(b *testing.B) {
	for _, parallel := range []int{1, 50} {
		b.Run(fmt.Sprintf("parallel=%d", parallel), func(b *testing.B) {
			w := onLoopback(b, Options{})
			w.handleBy(func(in *Incoming) {
				if s, err := in.Accept(); err == nil {
					s.CloseWrite()
					s.Read(make([]byte, 1))
					s.Close()
				}
			})
			target := w.target()
			dial := func() {
				s, err := w.dialer.Dial(background, target)
				if err != nil {
					b.Error(err)
					return
				}
				s.CloseWrite()
				s.Read(make([]byte, 1))
				s.Close()
			}
			dial()
			b.ReportAllocs()
			b.ResetTimer()
			start := cpuTime()
			var wg sync.WaitGroup
			left := make(chan struct{}, b.N)
			for range b.N {
				left <- struct{}{}
			}
			close(left)
			for range parallel {
				wg.Go(func() {
					for range left {
						dial()
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64((cpuTime()-start).Nanoseconds())/float64(b.N), "cpu-ns/op")
		})
	}
}
