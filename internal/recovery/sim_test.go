package recovery

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/seed51309289/quiver/hook"
)

// link is a bottleneck with a drop-tail queue, in virtual time.
type link struct {
	rate   float64       // bytes per second
	delay  time.Duration // one way
	queue  int           // packets that may wait
	drop   int           // every drop-th packet is lost besides; 0 = none
	loss   float64       // share of packets lost by chance
	mark   time.Duration // packets that wait longer are marked CE; 0 = no ECN
	late   int           // every late-th packet …
	lateBy time.Duration // … arrives so much later, out of order
	luck   *rand.Rand    // for loss

	free    hook.Instant   // when the last packet accepted has been sent
	leaving []hook.Instant // when the packets accepted are through the bottleneck
	count   int
	dropped int
	marked  int
}

// carry returns when a packet arrives, ok false when it is dropped.
func (l *link) carry(now hook.Instant, size int) (a arrival, ok bool) {
	for len(l.leaving) > 0 && l.leaving[0] <= now {
		l.leaving = l.leaving[1:]
	}
	l.count++
	if len(l.leaving) > l.queue || l.drop > 0 && l.count%l.drop == 0 || l.loss > 0 && l.luck.Float64() < l.loss {
		l.dropped++
		return a, false
	}
	a.size = size
	a.queued = max(0, l.free.Sub(now))
	a.ce = l.mark > 0 && a.queued > l.mark
	if a.ce {
		l.marked++
	}
	l.free = max(l.free, now).Add(time.Duration(float64(size) / l.rate * float64(time.Second)))
	l.leaving = append(l.leaving, l.free)
	a.at = l.free.Add(l.delay)
	if l.late > 0 && l.count%l.late == 0 {
		a.at = a.at.Add(l.lateBy)
	}
	return a, true
}

// arrival is a packet or an acknowledgment on its way.
type arrival struct {
	at     hook.Instant
	pn     uint64
	size   int
	queued time.Duration // in the bottleneck
	ce     bool
	ranges []Range // acknowledgment
	ecn    *ECNCounts
}

// bulk sends without end from a Detector to a Received over a link, one ACK for what arrives at one instant, for d, and returns the bytes that
// arrived in the second half.
func bulk(t *testing.T, name string, l *link, d time.Duration) (received int, det *Detector) {
	t.Helper()
	cc, err := New(name, BaseMTU)
	if err != nil {
		t.Fatal(err)
	}
	return bulkWith(t, cc, l, d)
}

func bulkWith(t *testing.T, cc hook.Congestion, l *link, d time.Duration) (received int, det *Detector) {
	t.Helper()
	f := newSimFlow(cc)
	simulate(t, l, d, f)
	return f.late, f.det
}

// simFlow is one bulk transfer through a link.
type simFlow struct {
	det        *Detector
	in         Received
	data, acks []arrival
	start      time.Duration // into the simulation
	limit      int           // bytes to send; 0 = without end

	sent, got  int          // bytes
	late       int          // bytes that arrived in the second half
	done       hook.Instant // when limit bytes had arrived
	queued     time.Duration
	latePacket int
}

func newSimFlow(cc hook.Congestion) *simFlow {
	f := &simFlow{det: NewDetector(Config{}, NewPath(PathConfig{Congestion: cc}))}
	f.det.SetHandshakeConfirmed()
	f.in.Init(AppData, 0, nil)
	return f
}

// queue is the mean time that the packets of the second half waited in the bottleneck.
func (f *simFlow) queue() time.Duration { return f.queued / time.Duration(max(1, f.latePacket)) }

const simBegin = hook.Instant(time.Second)

// simulate lets flows share a link for d.
func simulate(t *testing.T, l *link, d time.Duration, flows ...*simFlow) {
	t.Helper()
	now := simBegin
	end, half := now.Add(d), now.Add(d/2)
	for steps := 0; now < end; steps++ {
		if steps > 5_000_000 {
			t.Fatal("the simulation does not advance")
		}
		wake := end
		for _, f := range flows {
			begin := simBegin.Add(f.start)
			if now < begin {
				wake = min(wake, begin)
				continue
			}
			f.receive(now, half, l)
			f.takeAcks(t, now)
			wake = min(wake, f.send(now, end, l))
		}
		now = wake
	}
}

func (f *simFlow) receive(now, half hook.Instant, l *link) {
	for len(f.data) > 0 && f.data[0].at <= now {
		p := f.data[0]
		f.data = f.data[1:]
		mark := ECT0
		if p.ce {
			mark = CE
		}
		f.in.Add(now, p.pn, true, mark)
		f.got += p.size
		if now > half {
			f.late += p.size
			f.latePacket++
			f.queued += p.queued
		}
		if f.limit > 0 && f.got >= f.limit && f.done == 0 {
			f.done = now
		}
	}
	if f.in.WantAck(now) {
		a := arrival{at: now.Add(l.delay), ranges: f.in.Ranges(nil)}
		if l.mark > 0 {
			a.ecn = new(ECNCounts)
			a.ecn.ECT0, a.ecn.ECT1, a.ecn.CE = f.in.ECN().ECT0, f.in.ECN().ECT1, f.in.ECN().CE
		}
		f.acks = append(f.acks, a)
		f.in.AckSent(now)
	}
}

func (f *simFlow) takeAcks(t *testing.T, now hook.Instant) {
	for len(f.acks) > 0 && f.acks[0].at <= now {
		if _, err := f.det.OnAck(now, AppData, f.acks[0].ranges, 0, f.acks[0].ecn, noFates{}); err != nil {
			t.Fatal(err)
		}
		f.acks = f.acks[1:]
	}
}

// send sends what may leave and returns when the flow must be looked at again.
func (f *simFlow) send(now, end hook.Instant, l *link) hook.Instant {
	det, probes := f.det, 0
	if at := det.Deadline(); at != 0 && at <= now {
		probes = det.OnTimeout(now, noFates{}).Count
	}
	var retry hook.Instant
	for {
		var n int
		n, retry = det.Budget(now)
		if n == 0 && probes == 0 {
			break
		}
		if f.limit > 0 && f.got+det.Path().BytesInFlight() >= f.limit && probes == 0 {
			det.OnAppLimited()
			retry = 0
			break
		}
		probes = max(probes-1, 0)
		pn, size := det.NextNumber(AppData), det.Path().MTU.Current()
		p := Sent{Size: uint16(size), Flags: AckEliciting}
		if l.mark > 0 && det.Path().ECN.Mark() == ECT0 {
			p.Flags |= ECT
		}
		det.OnSent(now, AppData, pn, p)
		f.sent += size
		if a, ok := l.carry(now, size); ok {
			a.pn = pn
			a.ce = a.ce && p.Flags&ECT != 0
			f.data = insert(f.data, a)
		}
	}
	return soonest(now, end, retry, det.Deadline(), f.in.AckDeadline(), first(f.data), first(f.acks))
}

// insert keeps arrivals in the order of time.
func insert(list []arrival, a arrival) []arrival {
	i := len(list)
	for i > 0 && list[i-1].at > a.at {
		i--
	}
	return slices.Insert(list, i, a)
}

func first(list []arrival) hook.Instant {
	if len(list) == 0 {
		return 0
	}
	return list[0].at
}

// soonest returns the earliest instant given, but the next one at least.
func soonest(now, end hook.Instant, list ...hook.Instant) hook.Instant {
	for _, at := range list {
		if at != 0 {
			end = min(end, max(at, now+1))
		}
	}
	return end
}

func TestBulkTransferFillsTheLink(t *testing.T) {
	for _, tc := range []struct {
		name  string
		link  link
		share float64 // of the link's rate, at least
	}{
		{"10 Mbit/s, 30 ms, 25 packets of queue", link{rate: 1.25e6, delay: 15 * ms, queue: 25}, 0.97},
		{"10 Mbit/s, 100 ms, a round trip of queue", link{rate: 1.25e6, delay: 50 * ms, queue: 100}, 0.97},
		{"100 Mbit/s, 10 ms", link{rate: 12.5e6, delay: 5 * ms, queue: 100}, 0.97},
		{"1 Gbit/s, 1 ms", link{rate: 125e6, delay: ms / 2, queue: 200}, 0.95},
		{"10 Gbit/s, 60 µs, like loopback", link{rate: 1.25e9, delay: 30 * time.Microsecond, queue: 400}, 0.95},
		{"10 Mbit/s, 2% loss", link{rate: 1.25e6, delay: 5 * ms, queue: 25, drop: 50}, 0.50},
	} {
		for _, name := range names {
			t.Run(name+", "+tc.name, func(t *testing.T) {
				l, d := tc.link, 10*time.Second
				if l.rate > 1e8 {
					d = 300 * ms
				}
				got, det := bulk(t, name, &l, d)
				share := float64(got) / (l.rate * d.Seconds() / 2)
				t.Logf("%.3f of the link, window %d, smoothed %v", share, det.Path().Window(), det.Path().RTT.Smoothed())
				if share < tc.share {
					t.Errorf("%.3f of the link, want %.2f", share, tc.share)
				}
			})
		}
	}
}

func TestSlowStartDoesNotOverflowADeepQueue(t *testing.T) {
	for _, name := range names {
		l := &link{rate: 1.25e6, delay: 50 * ms, queue: 1000} // ten round trips of queue
		bulk(t, name, l, 3*time.Second)
		if l.dropped > 0 {
			t.Errorf("%s: %d packets dropped: HyStart++ did not leave slow start", name, l.dropped)
		}
	}
}

// rated keeps the delivery rate samples of a transfer.
type rated struct {
	*reno
	samples []hook.Rate
}

func (c *rated) Acked(e *hook.Acked) {
	c.samples = append(c.samples, e.Rate)
	c.reno.Acked(e)
}

func TestRateSamplesShowTheBottleneck(t *testing.T) {
	cc := &rated{reno: newReno(BaseMTU)}
	l := &link{rate: 1.25e6, delay: 15 * ms, queue: 25}
	bulkWith(t, cc, l, 5*time.Second)
	var last uint64
	var rates []float64
	for i, s := range cc.samples {
		if s.Delivered < last || s.Interval < 0 {
			t.Fatalf("sample %d: %+v after %d delivered", i, s, last)
		}
		last = s.Delivered
		if s.Interval > 0 {
			rates = append(rates, float64(s.Bytes)/s.Interval.Seconds())
		}
	}
	slices.Sort(rates)
	if median := rates[len(rates)/2]; median < 0.95*l.rate || median > 1.05*l.rate {
		t.Errorf("median of %.0f bytes/s, want about %.0f", median, l.rate)
	}
	if len(cc.samples) < 500 {
		t.Errorf("%d samples", len(cc.samples))
	}
}

func TestRateSamplesTellWhenTheApplicationLimits(t *testing.T) {
	r := newRig(t, true)
	trip := func(limit bool) hook.Rate {
		r.send(4)
		if limit {
			r.d.OnAppLimited()
		}
		r.advance(100 * ms)
		next := r.d.NextNumber(AppData)
		r.ack(next-4, next-1)
		return r.cc().acks[len(r.cc().acks)-1].Rate
	}
	trip(false)
	if s := trip(false); s.Bytes != 4800 || s.Interval != 100*ms || s.AppLimited {
		t.Errorf("sample %+v, want 4800 bytes in 100 ms", s)
	}
	for i, want := range []bool{true, true, false} {
		// What leaves until more than was in flight has been acknowledged is limited.
		if s := trip(i == 0); s.AppLimited != want {
			t.Errorf("round trip %d after running dry: sample %+v, want limited %v", i, s, want)
		}
	}
}

func TestRateHistoryIsCoarseNotWrong(t *testing.T) {
	var r rateSampler
	now := hook.Instant(time.Second)
	r.onSent(now, 0)
	// 1000 bytes every millisecond, acknowledged 40 ms later, each by its own frame.
	for i := range 500 {
		now = now.Add(ms)
		if s := r.onAck(now.Add(40*ms), now, 1000, 40*ms); i > 100 && (s.Bytes != uint64(s.Interval/ms)*1000 || s.Interval > 46*ms) {
			t.Fatalf("sample %d: %+v, want a megabyte a second over at most 46 ms", i, s)
		}
	}
}
