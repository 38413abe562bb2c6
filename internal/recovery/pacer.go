package recovery

import (
	"time"

	"github.com/seed51309289/quiver/hook"
)

// Bounds of the pacer.
//
// A timer of an ordinary system wakes 50 µs to 1 ms late, so asking it for less than pacerTick buys nothing but wake-ups. What a late wake-up
// costs is given back: while a sender waits for the pacer, up to pacerCatchUp of credit gathers beyond the burst.
// Where a round trip is shorter than pacerFastRTT (loopback, one host, one rack), or a full train takes less than pacerTick at the
// present rate, pacing is off: the acknowledgment clock is finer than any timer, and trains of pacerTrain bytes stay whole.
const (
	pacerTick         = 100 * time.Microsecond
	pacerCatchUp      = 2 * time.Millisecond
	pacerFastRTT      = 200 * time.Microsecond
	pacerTrain        = 64 << 10 // bytes: one system call's worth of segments
	pacerBurstPackets = 10       // RFC 9002 §7.7: bursts limited to the initial congestion window
	pacerBurstTime    = time.Millisecond
)

// pacer is a token bucket over bytes (RFC 9002 §7.7). The rate is 1.25 windows per smoothed round trip, 2 in slow start, or what the
// controller says.
type pacer struct {
	tokens int64        // bytes that may leave now; negative after probes, which do not ask
	last   hook.Instant // when tokens was last brought up to date; 0 = full bucket
	retry  hook.Instant // when the sender was told to ask again; 0 = it does not wait
}

// pace is the pacer's speed at one moment, derived anew for every budget.
type pace struct {
	rate   uint64 // bytes per second; 0 = do not pace
	packet int64  // bytes of a full datagram
	burst  int64  // bucket size
}

// newPace derives the speed. window in bytes, mtu = full datagram; rate overrides when not 0.
func newPace(rate uint64, window, mtu int, rtt *RTT, slowStart bool) pace {
	if rtt.HasSample() && rtt.Min() < pacerFastRTT && rate == 0 {
		return pace{}
	}
	if rate == 0 {
		rate = pacingRate(window, rtt.Smoothed(), slowStart)
	}
	if bytesIn(rate, pacerTick) >= pacerTrain {
		return pace{}
	}
	burst := max(bytesIn(rate, pacerBurstTime), int64(pacerBurstPackets*mtu))
	return pace{rate: rate, packet: int64(mtu), burst: max(min(burst, pacerTrain), int64(mtu))}
}

// pacingRate returns bytes per second for a window and a smoothed round-trip time.
func pacingRate(window int, srtt time.Duration, slowStart bool) uint64 {
	gain := 1.25 // RFC 9002 §7.7: N = 1.25
	if slowStart {
		gain = 2
	}
	return max(1, uint64(gain*float64(window)/srtt.Seconds()))
}

// bytesIn returns how much leaves in d at rate.
func bytesIn(rate uint64, d time.Duration) int64 {
	return int64(float64(rate) * d.Seconds())
}

// refill brings the bucket up to date.
func (p *pacer) refill(now hook.Instant, pc pace) {
	if p.last == 0 {
		p.tokens, p.last = pc.burst, now
		return
	}
	elapsed := max(now.Sub(p.last), 0)
	limit := pc.burst
	if p.retry != 0 && now <= p.retry.Add(pacerCatchUp) {
		limit = max(limit, bytesIn(pc.rate, pacerCatchUp))
	}
	if elapsed > time.Second {
		elapsed = time.Second // any bucket fills in that time, and no product overflows
		p.tokens = max(p.tokens, 0)
	}
	add := bytesIn(pc.rate, elapsed)
	if add == 0 {
		return // keep the fraction: last stays where it is
	}
	p.tokens = max(min(p.tokens+add, limit), min(p.tokens, limit))
	p.last = now
}

// budget returns how many bytes may leave now and, if less than a full datagram may, when to ask again.
func (p *pacer) budget(now hook.Instant, pc pace) (bytes int64, retry hook.Instant) {
	if pc.rate == 0 {
		p.last, p.retry = 0, 0
		return 1 << 40, 0
	}
	p.refill(now, pc)
	if p.tokens >= pc.packet {
		p.retry = 0
		return p.tokens, 0
	}
	// Wake when two packets or a millisecond's worth may leave, so that a timer pays for more than one packet.
	want := min(max(2*pc.packet, bytesIn(pc.rate, pacerBurstTime)), pc.burst)
	wait := time.Duration(float64(want-p.tokens) / float64(pc.rate) * float64(time.Second))
	p.retry = now.Add(max(wait, pacerTick))
	return 0, p.retry
}

// sent takes what left out of the bucket. Probes and other packets that did not ask leave a debt of at most one train.
func (p *pacer) sent(size int) {
	p.tokens = max(p.tokens-int64(size), -pacerTrain)
}
