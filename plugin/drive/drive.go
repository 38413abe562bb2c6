// Package drive calls the hooks of an extension without a connection: to measure what each of them costs, and to look for inputs that break it.
//
// Bench shows the extension what a connection would show it, in the order in which a connection would; what it sends comes back to it as if its
// peer's half had sent the same. Fuzz draws everything by lot, within what a connection promises, and in any order.
package drive

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/seed51309289/quiver/hook"
)

// Subject is what is driven.
type Subject struct {
	New    func() (hook.Extension, error)
	Config []byte   // what it is told when it begins
	Server bool     // which end it is at
	Calls  []uint32 // what the application may ask of it
}

const (
	datagram = 1452 // bytes of a full one
	epoch    = hook.Instant(time.Second)
	maxTold  = 64 // written frames of which the fate is not told yet; more are acknowledged
)

// driver is one extension that is attached to nothing.
type driver struct {
	x       hook.Extension
	info    *hook.Info
	subject *Subject
	conn    *conn
	cc      hook.Congestion // nil = it replaces none
	rng     *rand.Rand
	wild    bool // everything by lot
	now     hook.Instant
	pnum    uint64
	round   uint64
	bytes   uint64 // delivered
	written []frame
	last    any // what the latest call was told, for people
	payload []byte
	buffer  [hook.MaxFrameBody]byte
	watch   func(op hook.Op, took time.Duration, fuel uint64)
}

// frame is a frame that the extension wrote.
type frame struct {
	index uint8
	token hook.Token // 0 = it rode along
	body  []byte
}

// start makes an extension and attaches it. When it refuses, nothing is left to stop.
func start(s *Subject, seed uint64, wild bool, watch func(hook.Op, time.Duration, uint64)) (*driver, error) {
	x, err := s.New()
	if err != nil {
		return nil, err
	}
	d := &driver{x: x, info: x.Info(), subject: s, rng: rand.New(rand.NewPCG(seed, 1)), wild: wild, now: epoch, watch: watch}
	d.conn = &conn{d: d, timers: map[uint32]hook.Instant{}}
	d.call(hook.OpAttach, nil, func() {
		err = x.Attach(d.conn, &hook.AttachState{Now: d.now, Server: s.Server, Config: s.Config, State: hook.Established})
	})
	if err != nil {
		return nil, err
	}
	d.makePayload()
	return d, nil
}

// stop detaches the extension.
func (d *driver) stop() {
	why := hook.DetachClosed
	if d.conn.fault != nil {
		why = hook.DetachFault
	}
	d.call(hook.OpDetach, why, func() { d.x.Detach(why) })
}

// call makes one call and takes down what it cost. Calls that did not reach the extension count for nothing.
func (d *driver) call(op hook.Op, told any, f func()) {
	d.last = told
	before := d.usage()
	began := time.Now()
	f()
	took := time.Since(began)
	after := d.usage()
	if d.watch != nil && (after.Calls > before.Calls || !d.metered()) {
		d.watch(op, took, after.Fuel-before.Fuel)
	}
}

func (d *driver) metered() bool { _, ok := d.x.(hook.Meter); return ok }

func (d *driver) usage() hook.Usage {
	if m, ok := d.x.(hook.Meter); ok {
		return m.Usage()
	}
	return hook.Usage{}
}

// hooked reports whether the extension declares a hook.
func (d *driver) hooked(op hook.Op) bool {
	for _, h := range d.info.Hooks {
		if h.Op == op {
			return true
		}
	}
	return false
}

// pass lets time go by. In a second a connection lets its extensions run for so many instructions, which is no matter here: it goes by fast enough.
func (d *driver) pass() {
	d.now = d.now.Add(time.Duration(d.between(1_000_000, 8_000_000)))
	if d.wild && d.rng.IntN(50) == 0 {
		d.now = d.now.Add(time.Duration(d.rng.Int64N(int64(time.Hour))))
	}
}

func (d *driver) between(least, most int) int { return least + d.rng.IntN(max(most-least, 0)+1) }

// waiting draws how many bytes of streams wait: none at the end of each burst.
func (d *driver) waiting() uint64 {
	if d.chance(8) {
		return 0
	}
	return uint64(d.number(0, 100_000, 1<<30))
}

// number draws what is usually least to most, and in wild runs now and then anything from 0 to the limit.
func (d *driver) number(least, most, limit int) int {
	if d.wild && d.rng.IntN(4) == 0 {
		switch d.rng.IntN(4) {
		case 0:
			return 0
		case 1:
			return limit
		case 2:
			return d.rng.IntN(limit + 1)
		}
		return 1 << d.rng.IntN(31) & limit
	}
	return d.between(least, most)
}

func (d *driver) chance(of int) bool { return d.rng.IntN(of) == 0 }

// ago draws an instant before now, or never in wild runs.
func (d *driver) ago(longest time.Duration) hook.Instant {
	if d.wild && d.chance(8) {
		return 0
	}
	return max(d.now.Add(-time.Duration(d.rng.Int64N(int64(longest)))), 1)
}

// makePayload draws the frames of a packet: stream data, or in wild runs anything.
func (d *driver) makePayload() {
	n := d.number(1100, datagram-30, datagram-30)
	if cap(d.payload) < datagram {
		d.payload = make([]byte, datagram)
	}
	d.payload = d.payload[:n]
	for i := range d.payload {
		d.payload[i] = byte(d.rng.Uint32())
	}
	if n > 4 && !(d.wild && d.chance(2)) {
		copy(d.payload, []byte{0x0a, 0, 0x40 | byte((n-4)>>8), byte(n - 4)}) // STREAM 0 with a length (RFC 9000 §19.8)
	}
}

// told describes the latest call.
func (d *driver) told() string {
	text := fmt.Sprintf("%+v", d.last)
	if len(text) > 300 {
		text = text[:300] + "…"
	}
	return text
}
