package plugin

import (
	"testing"
	"time"

	"github.com/seed51309289/quiver/hook"
)

func TestABucketFillsWithTheConnectionsClock(t *testing.T) {
	b := purse{bucket: newBucket(50_000_000, 5_000_000, 0)}
	const start hook.Instant = 1 << 50 // a clock that began long ago
	if n := b.has(200_000, start, hook.OpTimer); n != 200_000 {
		t.Errorf("%d units at the beginning, want 200000", n)
	}
	b.take(5_000_000)
	if n := b.has(200_000, start, hook.OpTimer); n != 0 {
		t.Errorf("%d units after the burst, want 0", n)
	}
	if n := b.has(200_000, start.Add(time.Millisecond), hook.OpTimer); n != 50_000 {
		t.Errorf("%d units a millisecond later, want 50000", n)
	}
	if n := b.has(1<<40, start.Add(1000*time.Hour), hook.OpTimer); n != 5_000_000 {
		t.Errorf("%d units after a long time, want the burst", n)
	}
	if n := b.has(1<<40, start, hook.OpTimer); n != 5_000_000 {
		t.Errorf("%d units when the clock stands, want the burst", n)
	}
}

func TestPacketsBringFuelAndTimersDoNot(t *testing.T) {
	b := purse{bucket: newBucket(50_000_000, 5_000_000, 2_000)}
	b.take(5_000_000)
	for _, op := range hook.Ops() {
		before := b.level
		b.has(1_000_000, 0, op)
		got, want := b.level-before, int64(0)
		switch op {
		case hook.OpReceiveDatagram, hook.OpReceivePayload, hook.OpReceiveDone, hook.OpFrameProcess, hook.OpFrameWrite, hook.OpPacketBegin,
			hook.OpSendPayload, hook.OpPacketSent, hook.OpCongestionAck, hook.OpCongestionLoss, hook.OpCongestionSent, hook.OpAckPolicy,
			hook.OpRTTSample, hook.OpPacketLost, hook.OpPacketAcked, hook.OpStreamNext:
			want = 2_000
		}
		if got != want {
			t.Errorf("%v brings %d units, want %d", op, got, want)
		}
	}
}
