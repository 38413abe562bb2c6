package plugin

import (
	"time"

	"github.com/seed51309289/quiver/hook"
)

// What a plugin may run, in units of fuel, which are instructions (docs/plugin-abi.md).
const (
	// DefaultFuel is what one call may run.
	DefaultFuel = 200_000
	// DefaultFuelRate is what all plugins of one connection may run in a second, and DefaultFuelBurst what they may save up.
	DefaultFuelRate  = 50_000_000
	DefaultFuelBurst = 5_000_000
	// DefaultFuelPerPacket is what they may run beside that for each call that a packet brings: so work may grow with traffic, which costs the
	// connection as much by itself, and with nothing else.
	DefaultFuelPerPacket = 500

	// A call cannot be interrupted: the collector of garbage waits for its end. Those that begin something may take longer, but not a millisecond.
	attachFactor = 4                          // attach may run so many times the fuel of a call
	initFuel     = attachFactor * DefaultFuel // of pq_init, pq_abi, pq_ctx and pq_buf, each
)

// bucket is the fuel of one connection. Its clock is the connection's, and it is used under the connection's lock.
type bucket struct {
	rate, burst int64
	perPacket   int64
	level       int64
	at          hook.Instant // when level was right
}

// purse is what one plugin pays from: the bucket that all plugins of its connection share. The zero value has no end.
type purse struct {
	*bucket
	leave int64 // of the level is for others
}

func newBucket(rate, burst, perPacket int64) *bucket {
	return &bucket{rate: rate, burst: burst, perPacket: perPacket, level: burst}
}

// byPacket are the operations that packets bring, and nothing else can.
const byPacket = 1<<hook.OpReceiveDatagram | 1<<hook.OpReceivePayload | 1<<hook.OpReceiveDone | 1<<hook.OpFrameProcess | 1<<hook.OpFrameWrite |
	1<<hook.OpPacketBegin | 1<<hook.OpSendPayload | 1<<hook.OpPacketSent | 1<<hook.OpCongestionAck | 1<<hook.OpCongestionLoss |
	1<<hook.OpCongestionSent | 1<<hook.OpAckPolicy | 1<<hook.OpRTTSample

// has returns how much of n may be used at now, for a call of op.
func (p purse) has(n int64, now hook.Instant, op hook.Op) int64 {
	b := p.bucket
	if uint64(byPacket)>>op&1 != 0 || op == hook.OpPacketAcked || op == hook.OpPacketLost || op == hook.OpStreamNext {
		b.level = min(b.level+b.perPacket, b.burst)
	}
	if b.level-p.leave < n && now > b.at {
		b.refill(now)
	}
	return max(min(b.level-p.leave, n), 0)
}

func (b *bucket) refill(now hook.Instant) {
	if b.at == 0 { // the connection's clock starts wherever it likes
		b.at = now
		return
	}
	// Beyond the time that fills it the product would only overflow.
	waited := min(now.Sub(b.at), time.Duration((b.burst-b.level)*int64(time.Second)/b.rate)+1)
	b.level = min(b.level+int64(waited)*b.rate/int64(time.Second), b.burst)
	b.at = now
}

func (b *bucket) take(n int64) { b.level -= n }

// charge takes fuel from the running call for work that the host does in its stead. Without enough it takes all: the guest stops at the next
// head of a region.
func (x *extension) charge(n int64) bool {
	left := x.i.g.fuel()
	if left < n {
		x.i.g.setFuel(-1)
		return false
	}
	x.i.g.setFuel(left - n)
	return true
}
