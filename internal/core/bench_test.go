package core_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/internal/quictest"
	"github.com/seed51309289/quiver/internal/recovery"
	"github.com/seed51309289/quiver/internal/wire"
)

// pipe is a bulk transfer from a server to a client in one thread, without a
// network: every train that the server makes reaches the client at once.
type pipe struct {
	t              testing.TB
	now            time.Time
	client, server *core.Conn
	out, in        *core.Stream // the server's and the client's end of the transfer
	router         *core.Router[int]
	batch, acks    core.Batch
	buf            []byte

	datagrams              int // of the transfer
	transmit, receive, ack time.Duration
}

var (
	clientAddr = netip.MustParseAddrPort("192.0.2.1:50000")
	serverAddr = netip.MustParseAddrPort("192.0.2.2:443")
)

// newPipe connects both ends; trains have up to segments datagrams.
func newPipe(t testing.TB, segments int, change ...func(cfg *core.Config)) *pipe {
	p := &pipe{t: t, now: time.Now(), buf: make([]byte, 64<<10)}
	clientTLS, serverTLS := quictest.TLSConfigs(p.now, "test")
	cfg := core.Config{
		Rand: rand.Reader, Versions: []wire.Version{wire.Version1}, TLS: clientTLS,
		StreamWindow: 4 << 20, MaxStreamWindow: 16 << 20, ConnWindow: 8 << 20, MaxConnWindow: 16 << 20,
		SendBuffer: 1 << 20, MaxStreamsBidi: 10, MaxStreamsUni: 10, MaxMTU: 1452,
		MaxDatagramFrame: 65535,
		Congestion: func(mss int) hook.Congestion {
			cc, err := recovery.New("cubic", mss)
			if err != nil {
				t.Fatal(err)
			}
			return cc
		},
	}
	for _, f := range change {
		f(&cfg)
	}
	serverCfg := cfg
	serverCfg.TLS = serverTLS
	p.batch = core.Batch{Buf: make([]byte, 0, 65507), MaxSegments: segments}
	p.acks = core.Batch{Buf: make([]byte, 0, 65507), MaxSegments: segments}
	p.router = core.NewRouter[int](core.RouterConfig{Accept: true, Versions: cfg.Versions, Rand: rand.Reader})
	var err error
	if p.client, err = core.NewClient(p.now, &cfg, clientAddr.Addr(), serverAddr); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.client.Abandon(p.now, errors.New("test is over"))
		p.server.Abandon(p.now, errors.New("test is over"))
	})
	for range 20 {
		p.backward(&serverCfg)
		if p.server != nil {
			p.forward()
		}
	}
	if !p.client.Established() {
		t.Fatal("no handshake")
	}
	p.out, _ = p.server.Open(true)
	for range 2000 { // windows and datagrams grow to their full size
		p.round()
	}
	return p
}

// backward carries what the client sends.
func (p *pipe) backward(cfg *core.Config) {
	for p.client.Transmit(p.now, &p.acks) {
		for b := p.acks.Buf; len(b) > 0; b = b[min(len(b), p.acks.Segment):] {
			d := core.Datagram{Data: b[:min(len(b), p.acks.Segment)], Remote: clientAddr, Local: serverAddr.Addr()}
			if p.server == nil {
				conn, err := core.NewServer(p.now, cfg, p.router.Route(p.now, &d).New)
				if err != nil {
					p.t.Fatal(err)
				}
				p.server = conn
			}
			start := time.Now()
			p.server.Receive(p.now, &d)
			p.ack += time.Since(start)
		}
	}
	p.events(p.client)
}

// forward carries what the server sends, and measures it.
func (p *pipe) forward() {
	for {
		start := time.Now()
		ok := p.server.Transmit(p.now, &p.batch)
		p.transmit += time.Since(start)
		if !ok {
			break
		}
		start = time.Now()
		for b := p.batch.Buf; len(b) > 0; b = b[min(len(b), p.batch.Segment):] {
			d := core.Datagram{Data: b[:min(len(b), p.batch.Segment)], Remote: serverAddr, Local: clientAddr.Addr()}
			p.client.Receive(p.now, &d)
			p.datagrams++
		}
		p.receive += time.Since(start)
	}
	p.events(p.server)
}

func (p *pipe) events(c *core.Conn) {
	for {
		e, ok := c.NextEvent()
		if !ok {
			return
		}
		switch e.Kind {
		case core.EventOpened:
			p.in = e.Stream
		case core.EventClosed:
			p.t.Fatal(e.Err)
		}
	}
}

// round writes, carries, reads and acknowledges.
func (p *pipe) round() {
	p.now = p.now.Add(100 * time.Microsecond)
	p.server.Tick(p.now)
	if _, err := p.server.Write(p.out, p.buf); err != nil {
		p.t.Fatal(err)
	}
	p.forward()
	p.client.Tick(p.now)
	if p.in == nil {
		p.events(p.client)
	}
	for p.in != nil {
		if n, err := p.client.Read(p.now, p.in, p.buf); n == 0 || err != nil {
			break
		}
	}
	p.backward(nil)
}

func TestBulkTransferAllocatesNothing(t *testing.T) {
	p := newPipe(t, 44)
	before := p.datagrams
	if n := testing.AllocsPerRun(500, p.round); n != 0 {
		t.Errorf("%v allocations in a round of %d datagrams, want none", n, (p.datagrams-before)/501)
	}
	if p.datagrams-before < 500*40 {
		t.Errorf("only %d datagrams in 500 rounds: this is no bulk transfer", p.datagrams-before)
	}
}

func BenchmarkTransmit(b *testing.B) {
	bulk(b, "gso", func(p *pipe) time.Duration { return p.transmit })
}

func BenchmarkReceive(b *testing.B) {
	bulk(b, "train", func(p *pipe) time.Duration { return p.receive })
}

// BenchmarkAck is the sender's part: acknowledgments, and what they set free.
func BenchmarkAck(b *testing.B) {
	bulk(b, "train", func(p *pipe) time.Duration { return p.ack })
}

// message carries a datagram of RFC 9221 from the server to the client.
func (p *pipe) message(data []byte) {
	p.now = p.now.Add(100 * time.Microsecond)
	p.server.Tick(p.now)
	p.client.Tick(p.now)
	if err := p.server.SendDatagram(data); err != nil {
		p.t.Fatal(err)
	}
	p.forward()
	p.events(p.client)
	if got, ok := p.client.ReadDatagram(); !ok || len(got) != len(data) {
		p.t.Fatalf("a datagram of %d bytes, %t, arrived; want %d", len(got), ok, len(data))
	}
	p.backward(nil)
}

func TestDatagramsAllocateWhatTheReaderKeeps(t *testing.T) {
	p := newPipe(t, 44)
	data := make([]byte, 1000)
	for range 100 {
		p.message(data)
	}
	if n := testing.AllocsPerRun(500, func() { p.message(data) }); n > 1 {
		t.Errorf("a datagram allocates %v times, want once: its bytes, which are the reader's", n)
	}
}

func BenchmarkDatagram(b *testing.B) {
	p := newPipe(b, 44)
	data := make([]byte, 1000)
	p.transmit, p.receive, p.datagrams = 0, 0, 0
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		p.message(data)
	}
}

// bulk reports the share of the time that part tells, per datagram of 1452 bytes.
func bulk(b *testing.B, name string, part func(p *pipe) time.Duration) {
	for _, segments := range []int{1, 44} {
		b.Run(fmt.Sprintf("%s=%d", name, segments), func(b *testing.B) {
			p := newPipe(b, segments)
			p.transmit, p.receive, p.ack, p.datagrams = 0, 0, 0, 0
			b.ReportAllocs()
			b.SetBytes(int64(len(p.buf)))
			b.ResetTimer()
			for range b.N {
				p.round()
			}
			b.ReportMetric(float64(part(p).Nanoseconds())/float64(p.datagrams), "ns/dgram")
		})
	}
}
