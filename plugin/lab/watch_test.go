package lab

import (
	"slices"
	"testing"
	"time"

	"github.com/seed51309289/quiver/hook"
)

// watcher sees all that can be seen, and counts it.
type watcher struct {
	conn hook.Conn
}

func newWatcher() (hook.Extension, error) { return new(watcher), nil }

func (w *watcher) Info() *hook.Info {
	info := &hook.Info{ID: "test.watcher", Version: "1.0.0", Payload: true, Permissions: hook.MayCount}
	for _, op := range []hook.Op{
		hook.OpAttach, hook.OpDetach, hook.OpStateChanged, hook.OpReceiveDatagram, hook.OpReceivePayload, hook.OpReceiveDone, hook.OpSendPayload,
		hook.OpPacketSent, hook.OpPacketAcked, hook.OpPacketLost, hook.OpRTTSample, hook.OpStreamEvent, hook.OpDataSent, hook.OpDataReceived,
	} {
		info.Hooks = append(info.Hooks, hook.HookDecl{Op: op, Anchor: op.Anchor()})
	}
	for id, name := range []string{"arrived", "opened", "done", "filled", "sent", "acked", "lost", "samples", "streams", "firsts", "delivered", "states"} {
		info.Metrics = append(info.Metrics, hook.MetricDecl{ID: uint32(id), Name: name})
	}
	return info
}

func (w *watcher) Attach(conn hook.Conn, _ *hook.AttachState) error { w.conn = conn; return nil }
func (w *watcher) Detach(hook.DetachReason)                         {}
func (w *watcher) ReceiveDatagram(*hook.ReceivedDatagram)           { w.conn.Count(0, 1) }
func (w *watcher) ReceivePayload(*hook.ReceivedPayload)             { w.conn.Count(1, 1) }
func (w *watcher) ReceiveDone(*hook.ReceivedPacket)                 { w.conn.Count(2, 1) }
func (w *watcher) SendPayload(*hook.SentPayload)                    { w.conn.Count(3, 1) }
func (w *watcher) PacketSent(*hook.SentPacket)                      { w.conn.Count(4, 1) }
func (w *watcher) PacketAcked(*hook.PacketFate)                     { w.conn.Count(5, 1) }
func (w *watcher) PacketLost(*hook.PacketFate)                      { w.conn.Count(6, 1) }
func (w *watcher) StateChanged(_, _ hook.State)                     { w.conn.Count(11, 1) }
func (w *watcher) RTTSampled(hook.Instant, uint8, *hook.RTT, time.Duration) {
	w.conn.Count(7, 1)
}
func (w *watcher) StreamEvent(hook.Instant, uint64, hook.StreamEvent) { w.conn.Count(8, 1) }
func (w *watcher) DataSent(hook.Instant, uint64, uint64, int, bool)   { w.conn.Count(9, 1) }
func (w *watcher) DataDelivered(hook.Instant, uint64, uint64, int, bool) {
	w.conn.Count(10, 1)
}

// TestAnExtensionThatOnlyWatchesChangesNoTime compares to the nanosecond, over networks that lose, reorder and delay.
func TestAnExtensionThatOnlyWatchesChangesNoTime(t *testing.T) {
	x := End{Extensions: []Extension{{New: newWatcher}}}
	var scenarios []*Scenario
	for _, text := range []string{"clean", "loss-5 --size=200kB --both --times=2", "wifi", "satellite", "reorder --parallel --times=3"} {
		scenarios = append(scenarios, mustScenario(t, text+" --repeat=3 --sample=50ms"))
	}
	c, err := Compare(t.Context(), scenarios, Setup{}, Setup{Name: "watcher", Client: x, Server: x}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range c.Pairs {
		for i := range p.A.Repetitions {
			a, b := &p.A.Repetitions[i], &p.B.Repetitions[i]
			if !slices.Equal(a.Flows, b.Flows) || !slices.Equal(a.Series, b.Series) || a.Network != b.Network {
				t.Errorf("%s, seed %d: watching changes what is watched", p.Scenario.Name, a.Seed)
			}
		}
		if measure(t, p.B, "faults") != 0 || measure(t, p.B, "detached") != 0 {
			t.Errorf("%s: %v faults", p.Scenario.Name, measure(t, p.B, "faults"))
		}
	}
	for _, m := range (&watcher{}).Info().Metrics {
		if measure(t, c.Pairs[1].B, metricPrefix+m.Name) == 0 {
			t.Errorf("nothing was %s", m.Name)
		}
	}
}
