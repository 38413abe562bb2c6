package recovery

import (
	"testing"
	"time"

	"github.com/seed51309289/quiver/hook"
)

// pipe sends trains of 45 packets over a path of 50 µs and acknowledges each with one frame, as bulk transfer over loopback does.
type pipe struct {
	d      *Detector
	r      Received
	now    hook.Instant
	ranges []Range
}

const train = 45

func newPipe() *pipe {
	p := &pipe{d: NewDetector(Config{}, NewPath(PathConfig{})), now: hook.Instant(time.Second)}
	p.d.SetHandshakeConfirmed()
	p.r.Init(AppData, 0, nil)
	for range 100 {
		p.send()
		p.ack()
	}
	return p
}

func (p *pipe) send() {
	p.d.Budget(p.now)
	for range train {
		pn := p.d.NextNumber(AppData)
		p.d.OnSent(p.now, AppData, pn, Sent{Size: 1452, Flags: AckEliciting | HasStream, Stream: 4, Offset: pn * 1400, Len: 1400})
	}
}

func (p *pipe) ack() {
	p.now = p.now.Add(50 * time.Microsecond)
	p.ranges = append(p.ranges[:0], Range{Smallest: p.d.NextNumber(AppData) - train, Largest: p.d.NextNumber(AppData) - 1})
	if _, err := p.d.OnAck(p.now, AppData, p.ranges, 0, nil, noFates{}); err != nil {
		panic(err)
	}
	p.d.Deadline()
}

func (p *pipe) receive() {
	next := p.r.next()
	for pn := next; pn < next+train; pn++ {
		if !p.r.Duplicate(pn) {
			p.r.Add(p.now, pn, true, NotECT)
		}
	}
	if p.r.WantAck(p.now) {
		p.ranges = p.r.Ranges(p.ranges[:0])
		p.r.AckSent(p.now)
	}
}

func TestHotPathsDoNotAllocate(t *testing.T) {
	for _, name := range names {
		p := newPipe()
		cc, _ := New(name, BaseMTU)
		p.d.Path().SetCongestion(cc)
		if n := testing.AllocsPerRun(1000, func() { p.send(); p.ack() }); n != 0 {
			t.Errorf("%s: %v allocations for a train sent and acknowledged, want none", name, n)
		}
		if n := testing.AllocsPerRun(1000, func() { p.send(); p.lose() }); n != 0 {
			t.Errorf("%s: %v allocations for a train mostly lost, want none", name, n)
		}
		if n := testing.AllocsPerRun(1000, p.receive); n != 0 {
			t.Errorf("%v allocations for a train received, want none", n)
		}
	}
}

// lose acknowledges only the last packet.
func (p *pipe) lose() {
	p.now = p.now.Add(50 * time.Microsecond)
	last := p.d.NextNumber(AppData) - 1
	p.ranges = append(p.ranges[:0], Range{Smallest: last, Largest: last})
	p.d.OnAck(p.now, AppData, p.ranges, 0, nil, noFates{})
	p.now = max(p.now, p.d.Deadline())
	p.d.OnTimeout(p.now, noFates{})
}

// The benchmarks report the time for one datagram of a train.
func perDatagram(b *testing.B, n int) {
	b.ReportAllocs()
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/dgram")
}

func BenchmarkOnSent(b *testing.B) {
	p := newPipe()
	for b.Loop() {
		p.send()
		b.StopTimer()
		p.ack()
		b.StartTimer()
	}
	perDatagram(b, train)
}

func BenchmarkOnAck(b *testing.B) {
	p := newPipe()
	for b.Loop() {
		b.StopTimer()
		p.send()
		b.StartTimer()
		p.ack()
	}
	perDatagram(b, train)
}

func BenchmarkSentAndAcked(b *testing.B) {
	for _, name := range names {
		b.Run(name, func(b *testing.B) {
			p := newPipe()
			cc, _ := New(name, BaseMTU)
			p.d.Path().SetCongestion(cc)
			for b.Loop() {
				p.send()
				p.ack()
			}
			perDatagram(b, train)
		})
	}
}

func BenchmarkReceived(b *testing.B) {
	p := newPipe()
	for b.Loop() {
		p.receive()
	}
	perDatagram(b, train)
}
