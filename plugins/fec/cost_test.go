//go:build unix

package fec_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"io"
	"syscall"
	"testing"
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/virtual"
	"github.com/seed51309289/quiver/plugin"
	"github.com/seed51309289/quiver/quic"
)

// cpuTime returns what the process used so far, in user and kernel.
func cpuTime() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// agree has both ends of a connection run the plugin: the client offers it, the server has it.
type agree struct {
	b      *testing.B
	module *plugin.Module
	config []byte
	client bool
	active chan struct{}
}

func (a *agree) Exchange() (accept, offer bool) { return !a.client, a.client }

func (a *agree) Extend(c *quic.Conn) ([]quic.Attachment, quic.Extender, error) {
	return nil, &agreed{a, c}, nil
}

type agreed struct {
	*agree
	conn *quic.Conn
}

func (a *agreed) Resume([]hook.Offer) ([]hook.Extension, bool) { return nil, false }

func (a *agreed) News(n *quic.ExtensionNews) {
	check := func(err error) {
		if err != nil {
			a.b.Error(err)
		}
	}
	m := a.module.Manifest()
	ready := func() {
		x, err := a.module.New()
		check(err)
		check(a.conn.ReadyOffer(n.Local, x))
	}
	switch n.Kind {
	case quic.ExtensionPeer:
		if a.client {
			_, err := a.conn.OfferPlugin(hook.Offer{Digest: a.module.Digest(), ID: m.ID, Version: m.Version, Size: 1, Packed: 1, Mode: m.Mode,
				Frames: len(m.Frames), Config: a.config})
			check(err)
		}
	case quic.ExtensionOffered:
		check(a.conn.AnswerOffer(n.Local, hook.Answer{Status: hook.AnswerReady}))
		ready()
	case quic.ExtensionAnswered:
		ready()
	case quic.ExtensionActive:
		a.active <- struct{}{}
	case quic.ExtensionDetached:
		if n.Why != hook.DetachClosed {
			a.b.Errorf("detached: %v: %v", n.Why, n.Err)
		}
	}
}

// lane is one connection over loopback, on which the client sends.
type lane struct {
	name   string
	conn   *quic.Conn
	stream *quic.Stream
	cpu    time.Duration
	base   uint64
	server *quic.Conn
}

// newLane opens a connection with the plugin, or without if config is nil. Datagrams are of the size that Ethernet carries.
func newLane(b *testing.B, m *plugin.Module, name string, config map[string]string) *lane {
	b.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	clientTLS, serverTLS, err := virtual.TLSConfigs(time.Now(), "fec", key)
	if err != nil {
		b.Fatal(err)
	}
	clientConf, serverConf := &quic.Config{MaxDatagramSize: 1452}, &quic.Config{MaxDatagramSize: 1452}
	active := make(chan struct{}, 2)
	if config != nil {
		bytes, err := m.Manifest().Configure(config)
		if err != nil {
			b.Fatal(err)
		}
		clientConf.Extensions = &agree{b, m, bytes, true, active}
		serverConf.Extensions = &agree{b, m, bytes, false, active}
	}
	ln, err := quic.ListenAddr("127.0.0.1:0", serverTLS, serverConf)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { ln.Close() })
	ctx, cancel := context.WithTimeout(b.Context(), 10*time.Second)
	defer cancel()
	l := &lane{name: name}
	if l.conn, err = quic.DialAddr(ctx, ln.Addr().String(), clientTLS, clientConf); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.conn.CloseWithError(0, "") })
	if l.server, err = ln.Accept(ctx); err != nil {
		b.Fatal(err)
	}
	if config != nil {
		<-active
		<-active
	}
	if l.stream, err = l.conn.OpenStream(); err != nil {
		b.Fatal(err)
	}
	l.stream.Write([]byte{0})
	s, err := l.server.AcceptStream(ctx)
	if err != nil {
		b.Fatal(err)
	}
	go answer(s)
	l.carry(b)
	l.cpu, l.base = 0, l.bytes()
	return l
}

const carried = 8 << 20 // bytes of a round

// answer reads rounds and says when one is whole.
func answer(s *quic.Stream) {
	buf := make([]byte, 64<<10)
	io.ReadFull(s, buf[:1])
	for {
		for n := 0; n < carried; n += len(buf) {
			if _, err := io.ReadFull(s, buf); err != nil {
				return
			}
		}
		s.Write(buf[:1])
	}
}

func (l *lane) bytes() uint64 {
	return l.conn.ConnectionStats().BytesSent + l.server.ConnectionStats().BytesSent
}

// carry sends a round.
func (l *lane) carry(b *testing.B) {
	buf := make([]byte, 64<<10)
	start := cpuTime()
	for n := 0; n < carried; n += len(buf) {
		if _, err := l.stream.Write(buf); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := io.ReadFull(l.stream, buf[:1]); err != nil {
		b.Fatal(err)
	}
	l.cpu += cpuTime() - start
}

// BenchmarkCost compares processor time over loopback, in turns: both ends, for each byte that leaves, so that redundancy is not counted as work.
// A metric of 1.15 is 15 % more than without the plugin.
func BenchmarkCost(b *testing.B) {
	file, err := readPlugin()
	if err != nil {
		b.Fatal(err)
	}
	m, err := plugin.Load(b.Context(), "fec.wasm", file, plugin.Policy{FuelRate: -1})
	if err != nil {
		b.Fatal(err)
	}
	defer m.Close()
	full := func(scheme, k, r string) map[string]string {
		return map[string]string{"scheme": scheme, "policy": "full", "rate": "fixed", "k": k, "r": r, "window": k, "effort": "100000"}
	}
	lanes := []*lane{
		newLane(b, m, "plain", nil),
		newLane(b, m, "tail", map[string]string{}),
		newLane(b, m, "xor", full("xor", "25", "1")),
		newLane(b, m, "rlc", full("rlc", "25", "5")),
		newLane(b, m, "rs", full("rs", "25", "5")),
	}
	for b.Loop() {
		for _, l := range lanes {
			l.carry(b)
		}
	}
	each := func(l *lane) float64 { return float64(l.cpu) / float64(l.bytes()-l.base) }
	for _, l := range lanes[1:] {
		b.ReportMetric(each(l)/each(lanes[0]), l.name+"/plain")
		x := l.conn.ConnectionStats().Extensions[0]
		b.Logf("%s: %d MB more, %d repairs, %.0f units of fuel a call, %d at most", l.name,
			(int64(l.bytes()-l.base)-int64(lanes[0].bytes()-lanes[0].base))>>20, x.Metrics[0].Value, float64(x.Fuel)/float64(x.Calls), x.MaxFuel)
	}
	b.ReportMetric(each(lanes[0]), "plain-ns/B")
}
