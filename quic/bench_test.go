//go:build unix

package quic_test

import (
	"crypto/tls"
	"io"
	"syscall"
	"testing"
	"time"

	"github.com/seed51309289/quiver/quic"
)

// cpuTime returns what the process used so far, in user and kernel.
func cpuTime() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkTransfer sends 16 MiB on one stream per round over loopback and
// waits until they are read. cpu-s/GiB counts both sides.
func BenchmarkTransfer(b *testing.B) {
	const size = 16 << 20
	c, s := loopbackPair(b, nil)
	cs, err := c.OpenStream()
	if err != nil {
		b.Fatal(err)
	}
	out, in, ack := make([]byte, 64<<10), make([]byte, 64<<10), make([]byte, 1)
	cs.Write(ack)
	ss, err := s.AcceptStream(background)
	if err != nil {
		b.Fatal(err)
	}
	io.ReadFull(ss, ack)
	go func() {
		for {
			for n := 0; n < size; n += len(in) {
				if _, err := io.ReadFull(ss, in); err != nil {
					return
				}
			}
			ss.Write(ack)
		}
	}()
	b.SetBytes(size)
	b.ReportAllocs()
	start := cpuTime()
	for b.Loop() {
		for n := 0; n < size; n += len(out) {
			if _, err := cs.Write(out); err != nil {
				b.Fatal(err)
			}
		}
		if _, err := io.ReadFull(cs, make([]byte, 1)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric((cpuTime()-start).Seconds()/(float64(b.N)*size/(1<<30)), "cpu-s/GiB")
}

// BenchmarkRequest sends a request of 1 KiB on a fresh stream and reads a
// response of 1 KiB, both sides in one process.
func BenchmarkRequest(b *testing.B) {
	c, s := loopbackPair(b, nil)
	go func() {
		buf := make([]byte, 2048)
		for {
			st, err := s.AcceptStream(background)
			if err != nil {
				return
			}
			if n := readToEnd(st, buf); n != 1024 {
				return
			}
			st.Write(buf[:1024])
			st.CloseWrite()
		}
	}()
	b.ReportAllocs()
	buf := make([]byte, 2048)
	start := cpuTime()
	for b.Loop() {
		st, err := c.OpenStreamSync(background)
		if err != nil {
			b.Fatal(err)
		}
		st.Write(buf[:1024])
		st.CloseWrite()
		if n := readToEnd(st, buf); n != 1024 {
			b.Fatalf("response has %d bytes", n)
		}
	}
	b.ReportMetric(float64((cpuTime()-start).Nanoseconds())/float64(b.N), "cpu-ns/op")
}

// readToEnd returns how many bytes came before io.EOF, or -1.
func readToEnd(s *quic.Stream, buf []byte) int {
	n := 0
	for {
		m, err := s.Read(buf[n:])
		n += m
		if err == io.EOF {
			return n
		}
		if err != nil {
			return -1
		}
	}
}

// BenchmarkHandshake connects and closes; both sides share a Transport each.
func BenchmarkHandshake(b *testing.B) {
	b.Run("full", func(b *testing.B) { benchmarkHandshake(b, nil) })
	b.Run("resumed", func(b *testing.B) { benchmarkHandshake(b, tls.NewLRUClientSessionCache(1)) })
}

func benchmarkHandshake(b *testing.B, sessions tls.ClientSessionCache) {
	clientTLS, serverTLS := configs()
	clientTLS.ClientSessionCache = sessions
	l, err := quic.ListenAddr("127.0.0.1:0", serverTLS, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	t := loopbackTransport(b)
	b.ReportAllocs()
	start := cpuTime()
	for b.Loop() {
		c, err := t.Dial(background, l.Addr(), clientTLS, nil)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := l.Accept(background); err != nil {
			b.Fatal(err)
		}
		c.CloseWithError(0, "")
	}
	b.ReportMetric(float64((cpuTime()-start).Nanoseconds())/float64(b.N), "cpu-ns/op")
}
