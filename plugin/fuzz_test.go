package plugin_test

import (
	"testing"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/plugin"
)

// FuzzPluginABI lets a guest answer anything to anything: no answer out of range may reach the connection.
func FuzzPluginABI(f *testing.F) {
	for _, op := range hook.Ops() {
		f.Add(uint8(op), int64(0), uint32(0), uint64(1), uint64(1))
		f.Add(uint8(op), int64(-1), uint32(1), uint64(0), uint64(0))
		f.Add(uint8(op), int64(1<<40), uint32(1<<31), uint64(1)<<63, ^uint64(0))
	}
	r, err := plugin.NewRuntime(plugin.RuntimeConfig{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { r.Close() })
	m := load(f, r, read(f, "puppet"), plugin.Policy{FuelRate: -1, MaxPacing: 1 << 40})
	f.Fuzz(func(t *testing.T, op uint8, result int64, flags uint32, a, b uint64) {
		plugin.Remember(r, m.Digest(), 0)
		x, c := attached(t, m)
		p := &puppet{x, c, t}
		if hook.Op(op) >= hook.NumOps {
			return
		}
		p.answer(hook.Op(op), result, flags, a, b)
		room := make([]byte, 64)
		if n := x.(hook.Frames).WriteFrame(1, room, &hook.PacketPlan{}); n < hook.Defer || n > len(room) {
			t.Errorf("WriteFrame = %d of %d", n, len(room))
		}
		if v := x.(hook.Frames).ProcessFrame(&hook.ReceivedFrame{Body: room}); v > hook.FrameMalformed {
			t.Errorf("ProcessFrame = %d", v)
		}
		plan := &hook.PacketPlan{Ride: -1}
		if x.(hook.Packets).BeginPacket(plan); plan.Reserve < 0 || plan.Reserve > hook.MaxReserve || plan.Ride != -1 && plan.Ride != 1 {
			t.Errorf("BeginPacket: reserve %d, ride %d", plan.Reserve, plan.Ride)
		}
		if n := x.(hook.StreamScheduler).NextStream(&hook.StreamsReady{Ready: make([]hook.ReadyStream, 3)}); n < hook.Defer || n > 2 {
			t.Errorf("NextStream = %d", n)
		}
		if at := x.(hook.AckPolicy).AckAt(&hook.AckState{}); at < hook.DeferAck {
			t.Errorf("AckAt = %d", at)
		}
		if q := x.(hook.AckRequester).RequestAcks(&hook.SendState{Last: hook.AckRequest{Threshold: 2}}); q.Threshold < 1 || q.MaxDelay < 0 || q.Reordering < 0 {
			t.Errorf("RequestAcks = %+v", q)
		}
		core := &fakeCore{window: 12000}
		if cc := x.(hook.CongestionReplacer).ReplaceCongestion(hook.CongestionConfig{}, core); cc != nil {
			cc.Acked(&hook.Acked{})
			cc.Lost(&hook.Lost{})
			cc.Sent(1, 2, 3)
			if w := cc.Window(); w < 1 || w > plugin.DefaultMaxWindow {
				t.Errorf("window %d", w)
			}
			if rate := cc.PacingRate(); rate > 1<<40 {
				t.Errorf("rate %d", rate)
			}
		}
		if out, _ := x.(hook.Callee).AppCall(1, nil, nil); len(out) > hook.MaxCallBytes {
			t.Errorf("AppCall = %d bytes", len(out))
		}
		if len(c.faults) > 1 {
			t.Errorf("%d faults", len(c.faults))
		}
		why := hook.DetachClosed
		if len(c.faults) > 0 {
			why = hook.DetachFault
		}
		x.Detach(why)
	})
}
