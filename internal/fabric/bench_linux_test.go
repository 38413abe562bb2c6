package fabric

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// report tells of the median and of the slow ones of times.
func report(b *testing.B, times []time.Duration) {
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2].Nanoseconds())/1e3, "p50-µs")
	b.ReportMetric(float64(times[len(times)*99/100].Nanoseconds())/1e3, "p99-µs")
}

// BenchmarkConnect is a program's blocking connect, held and joined at once.
func BenchmarkConnect(b *testing.B) {
	for _, far := range anyFar {
		b.Run(far.String(), func(b *testing.B) {
			f := newFabric(b, Config{})
			p := newProgram(b, f)
			go func() {
				for {
					h, err := f.Next()
					if err != nil {
						return
					}
					leg, err := h.Connect()
					if err != nil {
						continue
					}
					go func() {
						leg.SetLinger(0)
						defer leg.Close()
						leg.Read(make([]byte, 1)) // until the program has gone
					}()
				}
			}()
			var times []time.Duration
			b.ReportAllocs()
			for b.Loop() {
				fd := p.socket(domainOf(far), 0)
				start := time.Now()
				if err := unix.Connect(fd, sockaddr(netip.AddrPortFrom(far, 80))); err != nil {
					b.Fatal(err)
				}
				times = append(times, time.Since(start))
				unix.Close(fd)
			}
			report(b, times)
		})
	}
}

// BenchmarkJoin is what Held.Connect takes.
func BenchmarkJoin(b *testing.B) {
	f := newFabric(b, Config{})
	p := newProgram(b, f)
	var times []time.Duration
	b.ReportAllocs()
	for b.Loop() {
		fd := p.socket(unix.AF_INET, unix.SOCK_NONBLOCK)
		unix.Connect(fd, sockaddr(netip.AddrPortFrom(far4, 80)))
		h := next(b, f)
		start := time.Now()
		leg, err := h.Connect()
		times = append(times, time.Since(start))
		if err != nil {
			b.Fatal(err)
		}
		leg.SetLinger(0)
		leg.Close()
		unix.Close(fd)
	}
	report(b, times)
}

// BenchmarkDeliver is what Deliver takes.
func BenchmarkDeliver(b *testing.B) {
	f := newFabric(b, Config{})
	p := newProgram(b, f)
	ln, at := p.listen(netip.MustParseAddrPort("0.0.0.0:0"), 100)
	defer unix.Close(ln)
	var times []time.Duration
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		start := time.Now()
		leg, err := f.Deliver(context.Background(), netip.AddrPortFrom(far4, uint16(1024+i%60000)), netip.AddrPortFrom(host4, at.Port()))
		times = append(times, time.Since(start))
		if err != nil {
			b.Fatal(err)
		}
		fd, _, err := unix.Accept4(ln, unix.SOCK_CLOEXEC)
		if err != nil {
			b.Fatal(err)
		}
		leg.SetLinger(0)
		leg.Close()
		unix.Close(fd)
	}
	report(b, times)
}

// BenchmarkSocket is what a socket for the program takes.
func BenchmarkSocket(b *testing.B) {
	f := newFabric(b, Config{})
	var times []time.Duration
	for b.Loop() {
		start := time.Now()
		fd, err := f.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0, 0)
		times = append(times, time.Since(start))
		if err != nil {
			b.Fatal(err)
		}
		unix.Close(fd)
	}
	report(b, times)
}

// BenchmarkListening is what it takes to know whether the program listens.
func BenchmarkListening(b *testing.B) {
	f := newFabric(b, Config{})
	p := newProgram(b, f)
	ln, at := p.listen(netip.MustParseAddrPort("0.0.0.0:0"), 100)
	defer unix.Close(ln)
	b.ReportAllocs()
	for b.Loop() {
		if ok, err := f.Listening(netip.AddrPortFrom(lo4, at.Port())); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}

// BenchmarkLeg is what passes between a program and a leg.
func BenchmarkLeg(b *testing.B) {
	const size = 128 << 10
	for _, up := range []bool{true, false} {
		b.Run(fmt.Sprintf("up=%v", up), func(b *testing.B) {
			f := newFabric(b, Config{})
			p := newProgram(b, f)
			fd, done := p.connect(netip.AddrPortFrom(far4, 80))
			defer unix.Close(fd)
			leg, err := next(b, f).Connect()
			if err != nil {
				b.Fatal(err)
			}
			defer leg.Close()
			wait(b, "connect", done)
			b.SetBytes(size)
			buf, theirs := make([]byte, 64<<10), make([]byte, size)
			n := b.N
			if up {
				go func() {
					for range n {
						unix.Write(fd, theirs)
					}
				}()
				b.ResetTimer()
				for left := n * size; left > 0; {
					m, err := leg.Read(buf)
					if err != nil {
						b.Fatal(err)
					}
					left -= m
				}
				return
			}
			go func() {
				for range 2 * n {
					leg.Write(buf)
				}
			}()
			b.ResetTimer()
			for left := n * size; left > 0; {
				m, err := unix.Read(fd, theirs)
				if m <= 0 {
					b.Fatal(io.ErrUnexpectedEOF, err)
				}
				left -= m
			}
		})
	}
}
