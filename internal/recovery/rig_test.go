package recovery

import (
	"slices"
	"testing"
	"time"

	"github.com/seed51309289/quiver/hook"
)

const ms = time.Millisecond

// rig is a detector on one path at a virtual time, with the verbs of its tests: send, advance, ack, want….
type rig struct {
	t           *testing.T
	now         hook.Instant
	d           *Detector
	p           *Path
	space       SpaceID
	acked, lost []uint64 // fates since the last want
	res         AckResult
}

// newRig begins in the AppData space of a confirmed handshake, at 1 s, with a controller that only records.
func newRig(t *testing.T, client bool) *rig {
	p := NewPath(PathConfig{Congestion: &recorder{window: 1 << 20}})
	r := &rig{t: t, now: hook.Instant(time.Second), p: p, d: NewDetector(Config{Client: client}, p), space: AppData}
	r.d.SetHandshakeConfirmed()
	return r
}

// newHandshakeRig begins with nothing but an unvalidated address, in the Initial space.
func newHandshakeRig(t *testing.T, client bool) *rig {
	p := NewPath(PathConfig{Congestion: &recorder{window: 1 << 20}})
	return &rig{t: t, now: hook.Instant(time.Second), p: p, d: NewDetector(Config{Client: client}, p), space: Initial}
}

func (r *rig) PacketAcked(space SpaceID, pn uint64, p *Sent) { r.acked = append(r.acked, pn) }
func (r *rig) PacketLost(space SpaceID, pn uint64, p *Sent)  { r.lost = append(r.lost, pn) }

func (r *rig) cc() *recorder { return r.p.cc.(*recorder) }

// send sends n ack-eliciting packets of 1200 bytes, with more flags.
func (r *rig) send(n int, flags ...Flag) {
	for range n {
		r.sendSize(1200, AckEliciting, flags...)
	}
}

func (r *rig) sendSize(size uint16, flag Flag, more ...Flag) uint64 {
	for _, f := range more {
		flag |= f
	}
	pn := r.d.NextNumber(r.space)
	r.d.OnSent(r.now, r.space, pn, Sent{Size: size, Flags: flag})
	return pn
}

func (r *rig) advance(d time.Duration) { r.now = r.now.Add(d) }

// ack acknowledges ranges given as pairs, the highest first.
func (r *rig) ack(pairs ...uint64) { r.ackDelayed(0, nil, pairs...) }

func (r *rig) ackDelayed(delay time.Duration, ecn *ECNCounts, pairs ...uint64) {
	r.t.Helper()
	if err := r.tryAck(delay, ecn, pairs...); err != nil {
		r.t.Fatalf("ack %v: %v", pairs, err)
	}
}

func (r *rig) tryAck(delay time.Duration, ecn *ECNCounts, pairs ...uint64) (err error) {
	var ranges []Range
	for i := 0; i < len(pairs); i += 2 {
		ranges = append(ranges, Range{Smallest: pairs[i], Largest: pairs[i+1]})
	}
	r.res, err = r.d.OnAck(r.now, r.space, ranges, delay, ecn, r)
	return err
}

// sample gives the path a first round-trip time: smoothed = rtt, var = rtt/2.
func (r *rig) sample(rtt time.Duration) {
	r.t.Helper()
	r.send(1)
	r.advance(rtt)
	pn := r.d.NextNumber(r.space) - 1
	r.ack(pn, pn)
	r.acked, r.lost = nil, nil
	*r.cc() = recorder{window: r.cc().window}
}

// timeout goes to the deadline and lets it fire.
func (r *rig) timeout() Probe {
	r.t.Helper()
	at := r.d.Deadline()
	if at == 0 {
		r.t.Fatal("no deadline, want one")
	}
	r.now = max(r.now, at)
	return r.d.OnTimeout(r.now, r)
}

func (r *rig) wantAcked(what string, pns ...uint64) {
	r.t.Helper()
	if !slices.Equal(r.acked, pns) {
		r.t.Errorf("%s: acked %v, want %v", what, r.acked, pns)
	}
	r.acked = nil
}

func (r *rig) wantLost(what string, pns ...uint64) {
	r.t.Helper()
	if !slices.Equal(r.lost, pns) {
		r.t.Errorf("%s: lost %v, want %v", what, r.lost, pns)
	}
	r.lost = nil
}

// wantVar compares one number or time.
func wantVar[T comparable](r *rig, what string, got, want T) {
	r.t.Helper()
	if got != want {
		r.t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// wantDeadline says when the next timeout fires, from now.
func (r *rig) wantDeadline(what string, in time.Duration) {
	r.t.Helper()
	wantVar(r, what, r.d.Deadline(), r.now.Add(in))
}

func (r *rig) wantNoDeadline(what string) {
	r.t.Helper()
	wantVar(r, what, r.d.Deadline(), 0)
}

// recorder is a controller with a fixed window that remembers what it was told.
type recorder struct {
	window int
	acks   []hook.Acked
	losses []hook.Lost
	mtu    int
}

func (c *recorder) Name() string                               { return "recorder" }
func (c *recorder) Sent(now hook.Instant, bytes, inFlight int) {}
func (c *recorder) Acked(e *hook.Acked)                        { c.acks = append(c.acks, *e) }
func (c *recorder) Lost(e *hook.Lost)                          { c.losses = append(c.losses, *e) }
func (c *recorder) MTUChanged(size int)                        { c.mtu = size }
func (c *recorder) Window() int                                { return c.window }
func (c *recorder) PacingRate() uint64                         { return 0 }

// noFates lets go of every packet.
type noFates struct{}

func (noFates) PacketAcked(SpaceID, uint64, *Sent) {}
func (noFates) PacketLost(SpaceID, uint64, *Sent)  {}
