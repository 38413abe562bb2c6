package netsim

import "time"

// LinkConfig describes one direction of the link. Its zero value is a perfect wire: no delay, no limit.
// Probabilities are 0..1. The impairments that hurt a packet (Loss, Drops, Corrupt, Duplicate, CEMark) sit at
// the receiving end: a lost packet has used its share of the bandwidth. All but Blackhole, and Loss where LossOfAll
// asks for it, touch UDP only.
type LinkConfig struct {
	Delay        time.Duration // one way, after serialisation
	Jitter       time.Duration // extra delay, uniform in [0, Jitter); it never changes the order
	Bandwidth    int64         // bit/s, 0 = unlimited
	QueuePackets int           // FIFO in front of the device, tail drop; without meaning if Bandwidth is 0
	MTU          int           // bytes of an IP packet, larger ones are dropped in silence; 0 = unlimited
	LaterMTU     int           // takes the place of MTU at MTUChange; 0 = MTU stays
	MTUChange    time.Duration // from the start of the scenario

	Loss         float64       // probability that a packet is lost
	LossOfAll    bool          // Loss is of every packet, whatever its protocol; false = of UDP
	LossBurst    int           // after so many losses in a row one packet passes; 0 = no cap
	LossRun      float64       // mean length of a run of losses, at least 1 (Gilbert); Loss is then at most LossRun/(LossRun+1); 0 = no memory
	Corrupt      float64       // probability that one byte of a packet is changed
	CorruptBurst int           // as LossBurst
	Duplicate    float64       // probability that a packet arrives twice
	Reorder      float64       // probability that a packet is held back, so that others overtake it
	ReorderBy    time.Duration // by how much; 0 = defaultReorderBy
	CEMark       float64       // probability that an ECN-capable packet is marked CE

	Drops     []int     // numbers of the UDP packets to drop, counted from 1 at the receiving end
	Blackhole Blackhole // times at which nothing passes
}

// Blackhole lets traffic flow for On and then nothing for Off, Repeat times from the start of the scenario;
// afterwards traffic flows for ever. Repeat 0 = none.
type Blackhole struct {
	On, Off time.Duration
	Repeat  int
	spared  bool // while parsing: this direction is not cut
}

// swallows reports whether a packet that arrives so long after the start of the scenario is lost.
func (b Blackhole) swallows(since time.Duration) bool {
	cycle := b.On + b.Off
	if b.Repeat <= 0 || cycle <= 0 || since < 0 {
		return false
	}
	return int64(since/cycle) < int64(b.Repeat) && since%cycle >= b.On
}

// mtu returns the largest packet that the link carries so long after the start of the scenario, 0 = any.
func (c *LinkConfig) mtu(since time.Duration) int {
	if c.LaterMTU > 0 && since >= c.MTUChange {
		return c.LaterMTU
	}
	return c.MTU
}

const (
	defaultReorderBy = 2 * time.Millisecond
	pppOverhead      = 2 // bytes that the wire adds to each IP packet
	deviceQueue      = 1 // packets that the device holds behind the queue
	inTransmission   = 1 // packet on its way into the wire
)

// link is the state of one direction: who is in the queue, and when the wire is free.
type link struct {
	LinkConfig
	leave   []time.Time // when each packet in the system ends its serialisation, a ring
	head, n int         // ring position and fill
	free    time.Time   // when the wire has sent all it was given
	arrival time.Time   // of the last packet in order
	sent    uint64      // packets that the link accepted
	udp     uint64      // UDP packets that reached the far end
	other   uint64      // packets of other protocols that reached it
	lost    int         // run of losses
	bad     bool        // with LossRun: in a burst
	damaged int         // run of corruptions
}

func (l *link) init(c LinkConfig) {
	l.LinkConfig = c
	if c.Bandwidth > 0 {
		l.leave = make([]time.Time, c.QueuePackets+deviceQueue+inTransmission)
	}
}

// accept puts a packet of size bytes at the end of the queue and returns when its last bit has left, or
// false if the queue is full. backlog is the number of packets that wait behind the one in transmission.
func (l *link) accept(now time.Time, size int) (left time.Time, backlog int, ok bool) {
	if l.Bandwidth <= 0 {
		return now, 0, true
	}
	for l.n > 0 && !l.leave[l.head].After(now) {
		l.head = (l.head + 1) % len(l.leave)
		l.n--
	}
	if l.n == len(l.leave) {
		return now, l.n - inTransmission, false
	}
	start := now
	if l.free.After(now) {
		start = l.free
	}
	l.free = start.Add(serialisation(size, l.Bandwidth))
	l.leave[(l.head+l.n)%len(l.leave)] = l.free
	l.n++
	return l.free, l.n - inTransmission, true
}

// serialisation returns how long a packet of size bytes occupies a wire of rate bit/s, rounded down to
// nanoseconds.
func serialisation(size int, rate int64) time.Duration {
	return time.Duration(int64(size+pppOverhead) * 8 * int64(time.Second) / rate)
}

// travel returns when a packet that left the sender at left reaches the far end.
func (l *link) travel(left time.Time, seed uint64, dir Side) (at time.Time, held bool) {
	at = left.Add(l.Delay)
	if l.Jitter > 0 {
		at = at.Add(below(l.Jitter, luck(seed, dir, forJitter, l.sent)))
	}
	if chance(l.Reorder, luck(seed, dir, forReorder, l.sent)) {
		by := l.ReorderBy
		if by == 0 {
			by = defaultReorderBy
		}
		return at.Add(by), true
	}
	if at.Before(l.arrival) {
		at = l.arrival
	}
	l.arrival = at
	return at, false
}
