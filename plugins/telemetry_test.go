package plugins_test

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/virtual"
	"github.com/seed51309289/quiver/netsim"
	"github.com/seed51309289/quiver/plugin/lab"
)

// witness keeps all that telemetry sums up.
type witness struct {
	rtts                   []time.Duration
	lost                   []uint64
	opened, finished       int
	streamTimes            []time.Duration
	open                   map[uint64]hook.Instant
	bursts, longest, burst int
}

func (w *witness) Info() *hook.Info {
	info := &hook.Info{ID: "test.witness", Version: "1.0.0"}
	for _, op := range []hook.Op{hook.OpAttach, hook.OpDetach, hook.OpRTTSample, hook.OpPacketLost, hook.OpStreamEvent} {
		info.Hooks = append(info.Hooks, hook.HookDecl{Op: op, Anchor: op.Anchor()})
	}
	return info
}

func (w *witness) Attach(hook.Conn, *hook.AttachState) error {
	w.open = map[uint64]hook.Instant{}
	return nil
}

func (w *witness) Detach(hook.DetachReason) {}

func (w *witness) RTTSampled(_ hook.Instant, _ uint8, rtt *hook.RTT, _ time.Duration) {
	w.rtts = append(w.rtts, rtt.Latest)
}

func (w *witness) PacketLost(p *hook.PacketFate) {
	w.burst++
	if n := len(w.lost); n == 0 || p.Packet != w.lost[n-1]+1 {
		w.burst = 1
		w.bursts++
	}
	w.longest = max(w.longest, w.burst)
	w.lost = append(w.lost, p.Packet)
}

func (w *witness) StreamEvent(now hook.Instant, id uint64, e hook.StreamEvent) {
	switch e {
	case hook.StreamOpened:
		w.opened++
		w.open[id] = now
	case hook.StreamOver:
		w.finished++
		w.streamTimes = append(w.streamTimes, now.Sub(w.open[id]))
	}
}

// report asks telemetry for its metrics, by name.
func report(t *testing.T, c *virtual.Peer, decls []hook.MetricDecl, id string) map[string]uint64 {
	t.Helper()
	out, err := c.CallExtension(c.Now(), id, 1, nil)
	if err != nil || len(out) != 8*len(decls) {
		t.Fatalf("report: %d bytes, %v", len(out), err)
	}
	values := map[string]uint64{}
	for _, d := range decls {
		values[d.Name] = binary.LittleEndian.Uint64(out[8*d.ID:])
	}
	return values
}

func TestTelemetryTellsWhatHappened(t *testing.T) {
	x := extension(t, "telemetry", nil)
	for seed := range uint64(4) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			way := netsim.LinkConfig{Delay: 25 * time.Millisecond, Jitter: 10 * time.Millisecond, Bandwidth: 10e6, QueuePackets: 60, Loss: 0.02, LossRun: 3}
			pair := virtual.NewPair(seed, virtual.Options{ToServer: way, ToClient: way})
			defer pair.Close()
			w := &witness{}
			e, err := x.New()
			if err != nil {
				t.Fatal(err)
			}
			pair.Server.OnConn = func(c *virtual.Peer) {
				if err := c.Extend(e, x.Config); err != nil {
					t.Fatal(err)
				}
				if err := c.Extend(w, nil); err != nil {
					t.Fatal(err)
				}
			}
			load, err := pair.Start(slices.Repeat([]virtual.Flow{{Size: 100_000}, {Size: 10_000}}, 20), false)
			if err != nil {
				t.Fatal(err)
			}
			if !pair.Run(time.Hour, load.Done) {
				t.Fatal("not done")
			}
			w.compare(t, report(t, load.Server, e.Info().Metrics, e.Info().ID), load.Server)
		})
	}
}

func (w *witness) compare(t *testing.T, got map[string]uint64, c *virtual.Peer) {
	t.Helper()
	st := c.Stats()
	for _, m := range []struct {
		name string
		want uint64
	}{
		{"lost", uint64(len(w.lost))}, {"loss_bursts", uint64(w.bursts)}, {"longest_burst", uint64(w.longest)},
		{"streams", uint64(w.opened)}, {"streams_finished", uint64(w.finished)}, {"streams_reset", 0},
		{"rtt_max", uint64(slices.Max(w.rtts) / time.Microsecond)}, {"window", uint64(st.CongestionWindow)}, {"in_flight", uint64(st.InFlight)},
	} {
		if got[m.name] != m.want {
			t.Errorf("%s: %d, want %d", m.name, got[m.name], m.want)
		}
	}
	// The connection does not count lost probes of the path's MTU, of which there are a few, as lost packets.
	if more := got["lost"] - st.PacketsLost; more > 3 {
		t.Errorf("lost: %d, the connection counts %d", got["lost"], st.PacketsLost)
	}
	if w.opened < 40 || len(w.lost) < 10 {
		t.Errorf("only %d streams and %d losses", w.opened, len(w.lost))
	}
	for _, q := range []struct {
		name  string
		exact time.Duration
	}{
		{"rtt_p50", exactQuantile(w.rtts, 50)}, {"rtt_p95", exactQuantile(w.rtts, 95)},
		{"stream_time_p50", exactQuantile(w.streamTimes, 50)}, {"stream_time_p95", exactQuantile(w.streamTimes, 95)},
	} {
		// A bucket is a quarter of its beginning wide at the most, and its middle is told.
		if ratio := float64(got[q.name]) / float64(q.exact.Microseconds()); ratio < 0.87 || ratio > 1.13 {
			t.Errorf("%s: %d us, want %v within an eighth", q.name, got[q.name], q.exact)
		}
	}
}

func exactQuantile(list []time.Duration, percent int) time.Duration {
	s := slices.Sorted(slices.Values(list))
	return s[(len(s)*percent+99)/100-1]
}

// The timer wakes the connection up, and its pacer lets go then what it would have let go a little later: see package lab. Nothing else may change.
func TestTelemetryChangesNothing(t *testing.T) {
	networks := []string{"clean --repeat=2", "loss-5 --size=200kB --both --times=2 --repeat=3", "satellite --repeat=2", "reorder --repeat=2", "wifi --repeat=2"}
	once := lab.Extension{New: extension(t, "telemetry", nil).New}
	for _, c := range []struct {
		interval string
		within   float64 // of the time of each flow
	}{{"60000", 0}, {"500", 0.01}, {"50", 0.02}} {
		x := once
		x.Config = extension(t, "telemetry", map[string]string{"interval": c.interval}).Config
		end := lab.End{Extensions: []lab.Extension{x}}
		for _, p := range compare(t, lab.Setup{}, lab.Setup{Name: "telemetry", Client: end, Server: end}, networks...) {
			for i, ratio := range p.Ratios() {
				if ratio < 1-c.within || ratio > 1+c.within {
					t.Errorf("every %s ms, %s, repetition %d: the flows take %.4f of the time without", c.interval, p.Scenario, i, ratio)
				}
			}
		}
	}
}
