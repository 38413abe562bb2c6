//go:build unix

package plugins_test

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/quictest"
	"github.com/seed51309289/quiver/quic"
)

// attachAlways is a quic.Extensions that attaches what New makes to every connection.
type attachAlways struct {
	new func() (quic.Attachment, error)
}

func (a *attachAlways) Exchange() (accept, offer bool) { return false, false }

func (a *attachAlways) Extend(*quic.Conn) ([]quic.Attachment, quic.Extender, error) {
	x, err := a.new()
	return []quic.Attachment{x}, nil, err
}

// costBytes is what each of the two transfers of a round carries.
const costBytes = 256 << 20

// BenchmarkCost carries bytes over loopback without a plugin and with it in turn, both ends in this process, and reports processor time and time
// with it as parts of those without: medians of the rounds, with their extremes. Absolute figures of a shared machine say nothing.
func BenchmarkCost(b *testing.B) {
	for _, c := range []struct{ plugin, congestion string }{
		{"", "cubic"}, // against itself: what the machine adds
		{"telemetry", "cubic"}, {"cc-newreno", "newreno"}, {"cc-cubic", "cubic"}, {"cc-bbr", "bbr"},
	} {
		b.Run(cmp.Or(c.plugin, "nothing"), func(b *testing.B) {
			var cpu, took []float64
			plain, with := costSetup(b, c.congestion, ""), costSetup(b, c.congestion, c.plugin)
			for b.Loop() {
				first, second := plain, with
				if len(cpu)%2 == 1 {
					first, second = with, plain
				}
				c1, t1 := first()
				c2, t2 := second()
				if len(cpu)%2 == 1 {
					c1, t1, c2, t2 = c2, t2, c1, t1
				}
				cpu, took = append(cpu, c2/c1), append(took, t2/t1)
			}
			slices.Sort(cpu)
			slices.Sort(took)
			n := len(cpu)
			b.ReportMetric(cpu[n/2], "cpu-ratio")
			b.ReportMetric(took[n/2], "time-ratio")
			b.Logf("%d rounds: processor time %.3f (%.3f to %.3f), time %.3f (%.3f to %.3f) of those without", n, cpu[n/2], cpu[0], cpu[n-1], took[n/2], took[0], took[n-1])
		})
	}
}

// costSetup starts a server, and returns what makes one transfer from it: the seconds of processor and of time that it took.
func costSetup(b *testing.B, congestion, name string) func() (cpu, took float64) {
	clientTLS, serverTLS := quictest.TLSConfigs(time.Now(), "test")
	conf := &quic.Config{Congestion: congestion}
	if name != "" {
		x := extension(b, name, nil)
		conf.Extensions = &attachAlways{new: func() (quic.Attachment, error) {
			e, err := x.New()
			return quic.Attachment{Extension: e, Config: x.Config}, err
		}}
	}
	l, err := quic.ListenAddr("127.0.0.1:0", serverTLS, conf)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept(context.Background())
			if err != nil {
				return
			}
			go func() {
				s, err := c.AcceptStream(context.Background())
				if err != nil {
					return
				}
				chunk := make([]byte, 1<<20)
				for range costBytes / len(chunk) {
					if _, err := s.Write(chunk); err != nil {
						return
					}
				}
				s.Close()
			}()
		}
	}()
	return func() (float64, float64) {
		began, before := time.Now(), processorTime()
		if err := download(l.Addr().String(), clientTLS, conf); err != nil {
			b.Fatal(fmt.Errorf("%s: %w", name, err))
		}
		return processorTime() - before, time.Since(began).Seconds()
	}
}

func download(addr string, tlsConfig *tls.Config, conf *quic.Config) error {
	c, err := quic.DialAddr(context.Background(), addr, tlsConfig, conf)
	if err != nil {
		return err
	}
	defer c.CloseWithError(0, "")
	s, err := c.OpenStream()
	if err != nil {
		return err
	}
	if _, err := s.Write([]byte("go")); err != nil {
		return err
	}
	n, err := io.Copy(io.Discard, s)
	if err == nil && n != costBytes {
		err = fmt.Errorf("%d bytes, want %d", n, costBytes)
	}
	for _, x := range c.ConnectionStats().Extensions {
		if x.Calls == 0 || x.Faults > 0 || x.Detached {
			err = fmt.Errorf("%s: %d calls, %d faults", x.ID, x.Calls, x.Faults)
		}
	}
	return err
}

// processorTime returns the seconds of processor that this process has used.
func processorTime() float64 {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}
