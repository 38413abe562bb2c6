package plugin_test

import (
	"context"
	"os"
	"path/filepath"
	goruntime "runtime"
	"runtime/metrics"
	"slices"
	"testing"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/plugin"
)

// BenchmarkCall is a call of a guest that does nothing, by way of the adapter; BenchmarkBareCall is what the engine and the fuel take of it.
func BenchmarkCall(b *testing.B) {
	x, _ := attached(b, load(b, runtime(b), build(b, "nop", nop), plugin.Policy{}))
	s, rtt, now := x.(hook.RTTSamples), hook.RTT{}, start
	b.ReportAllocs()
	for b.Loop() {
		now += 1000
		s.RTTSampled(now, 0, &rtt, 0)
	}
}

func BenchmarkBareCall(b *testing.B) {
	x, _ := attached(b, load(b, runtime(b), build(b, "nop", nop), plugin.Policy{}))
	call := plugin.Bare(x, hook.OpRTTSample)
	b.ReportAllocs()
	for b.Loop() {
		if err := call(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPayload shows a guest a packet of 1400 bytes.
func BenchmarkPayload(b *testing.B) {
	x, _ := attached(b, load(b, runtime(b), build(b, "payload", ";;! {\"views\": [\"payload\"], \"hooks\": [\"tx_payload\"]}\n"+nop), plugin.Policy{}))
	s, p := x.(hook.SentPayloads), &hook.SentPayload{Now: start, Frames: make([]byte, 1400)}
	b.ReportAllocs()
	b.SetBytes(1400)
	for b.Loop() {
		p.Now += 1000
		s.SendPayload(p)
	}
}

func TestACallAllocatesNothing(t *testing.T) {
	r := runtime(t)
	if r.Engine() != plugin.Compiler {
		t.Skip("the interpreter allocates")
	}
	x, _ := attached(t, load(t, r, build(t, "asker", asker), plugin.Policy{FuelRate: -1}))
	x.(hook.Timers).Timer(start, askGet)
	plan, rtt, room := &hook.PacketPlan{}, &hook.RTT{}, make([]byte, 100)
	calls := map[string]func(){
		"frame_write":   func() { x.(hook.Frames).WriteFrame(1, room, plan) },
		"timer and get": func() { x.(hook.Timers).Timer(start, askGet) },
		"muladd":        func() { x.(hook.Timers).Timer(start, askMulAdd) },
	}
	p := newPuppet(t, r)
	core := &fakeCore{window: 12000}
	c := p.Extension.(hook.CongestionReplacer).ReplaceCongestion(hook.CongestionConfig{}, core)
	acked, ready := &hook.Acked{Now: start}, &hook.StreamsReady{Ready: make([]hook.ReadyStream, 8)}
	calls["rtt_sample"] = func() { p.Extension.(hook.RTTSamples).RTTSampled(start, 0, rtt, 0) }
	calls["cc_ack"] = func() { core.heard = ""; c.Acked(acked) }
	calls["stream_next"] = func() { p.Extension.(hook.StreamScheduler).NextStream(ready) }
	for name, call := range calls {
		if n := testing.AllocsPerRun(100, call); n > 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// shipped returns the file of a plugin that is shipped.
func shipped(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "plugins", name, name+".wasm"))
	if err != nil {
		t.Skip(err)
	}
	return b
}

// BenchmarkLoad is what stands between a file and a plugin that can be attached.
func BenchmarkLoad(b *testing.B) {
	file := shipped(b, "cc-bbr")
	for _, bm := range []struct {
		name string
		dir  string
	}{{"first", ""}, {"disk", b.TempDir()}} {
		b.Run(bm.name, func(b *testing.B) {
			warm := func() *plugin.Runtime {
				r, err := plugin.NewRuntime(plugin.RuntimeConfig{CacheDir: bm.dir})
				if err != nil {
					b.Fatal(err)
				}
				return r
			}
			if bm.dir != "" {
				r := warm()
				if _, err := r.Load(context.Background(), "bbr", file, plugin.Policy{}); err != nil {
					b.Fatal(err)
				}
				r.Close()
			}
			for b.Loop() {
				b.StopTimer()
				r := warm()
				b.StartTimer()
				if _, err := r.Load(context.Background(), "bbr", file, plugin.Policy{}); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				r.Close()
				b.StartTimer()
			}
		})
	}
	b.Run("memory", func(b *testing.B) {
		r := runtime(b)
		load(b, r, file, plugin.Policy{})
		for b.Loop() {
			m, err := r.Load(context.Background(), "bbr", file, plugin.Policy{})
			if err != nil {
				b.Fatal(err)
			}
			m.Close()
		}
	})
}

// BenchmarkNew is an instance for a connection: taken from the pool, attached, detached, and reset; or made anew.
func BenchmarkNew(b *testing.B) {
	m := load(b, runtime(b), shipped(b, "cc-bbr"), plugin.Policy{})
	conn, at := &fakeConn{}, begin(b, m)
	b.Run("pooled", func(b *testing.B) {
		for b.Loop() {
			x, err := m.New()
			if err != nil {
				b.Fatal(err)
			}
			if err := x.Attach(conn, at); err != nil {
				b.Fatal(err)
			}
			x.Detach(hook.DetachClosed)
		}
	})
	b.Run("made", func(b *testing.B) {
		for b.Loop() {
			if _, err := plugin.Fresh(m); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkRunaway is how long a guest that never ends holds a connection, and with it garbage collection: one call on default fuel.
func BenchmarkRunaway(b *testing.B) {
	for name, act := range map[string]string{
		"loop":    `(loop (br 0))`,
		"loads":   `(loop (drop (i64.load (local.get 0))) (br 0))`,
		"divides": `(loop (drop (i64.div_u (i64.load (local.get 0)) (i64.const 3))) (br 0))`,
		"grows":   `(loop (drop (memory.grow (i32.const 1))) (br 0))`,
		"fills":   `(loop (memory.fill (i32.const 20000) (i32.const 1) (i32.const 45000)) (br 0))`,
		"calls":   `(loop (drop (call $attach)) (br 0))`,
	} {
		b.Run(name, func(b *testing.B) {
			runaway(b, build(b, name, acting("", act)), hook.OpRTTSample)
		})
	}
	for _, name := range []string{"recursion", "indirect", "host-calls", "host-lengths"} {
		b.Run(name, func(b *testing.B) { runaway(b, readHostile(b, name), hook.OpPacketSent) })
	}
}

func runaway(b *testing.B, file []byte, op hook.Op) {
	x, _ := attached(b, load(b, runtime(b), file, plugin.Policy{}))
	call := plugin.Bare(x, op)
	for b.Loop() {
		if call() == nil {
			b.Fatal("it ended")
		}
	}
}

// BenchmarkResident reports what a plugin takes of the process for each connection.
func BenchmarkResident(b *testing.B) {
	m := load(b, runtime(b), shipped(b, "telemetry"), plugin.Policy{})
	n := 0
	for b.Loop() {
		n, _ = residentPerConnection(b, m, 1000)
	}
	b.ReportMetric(float64(n), "B/conn")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkCollection collects garbage beside a guest that runs to the end of its fuel again and again, in calls of the default length and in the
// longest that there are, and beside Go code, in turn. It reports how long the collector had to wait for all goroutines to stop: the upper end of
// the bucket in the runtime's histogram, for half and 99 in 100 of the collections, and for the worst.
func BenchmarkCollection(b *testing.B) {
	x, _ := attached(b, load(b, runtime(b), build(b, "loop", acting("", `(loop (br 0))`)), plugin.Policy{}))
	room := make([]byte, 1<<18)
	kinds := []struct {
		name string
		call func() error
	}{
		{"go", func() error { clear(room); return nil }}, // what the machine itself does to it
		{"call", plugin.Bare(x, hook.OpRTTSample)},
		{"longest", plugin.BareFor(x, hook.OpRTTSample, plugin.LongestCall)},
	}
	waited := make([]metrics.Float64Histogram, len(kinds))
	for b.Loop() {
		for n, kind := range kinds {
			collectBeside(kind.call, &waited[n])
		}
	}
	for n, kind := range kinds {
		for _, part := range []struct {
			name string
			of   float64
		}{{"p50", 0.5}, {"p99", 0.99}, {"worst", 1}} {
			b.ReportMetric(quantile(&waited[n], part.of)*1e6, kind.name+"-"+part.name+"-us")
		}
	}
	b.ReportMetric(0, "ns/op")
}

// collectBeside collects some times while call is called, and adds to waited how long that had to wait.
func collectBeside(call func() error, waited *metrics.Float64Histogram) {
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				call()
			}
		}
	}()
	before := stopping()
	for range 20 {
		goruntime.GC()
	}
	after := stopping()
	close(stop)
	<-done
	if waited.Counts == nil {
		waited.Counts, waited.Buckets = make([]uint64, len(after.Counts)), after.Buckets
	}
	for n := range after.Counts {
		waited.Counts[n] += after.Counts[n] - before.Counts[n]
	}
}

// quantile returns a number that so much of h is not above.
func quantile(h *metrics.Float64Histogram, of float64) float64 {
	var all, seen uint64
	for _, n := range h.Counts {
		all += n
	}
	for n, count := range h.Counts {
		if seen += count; float64(seen) >= of*float64(all) {
			return h.Buckets[n+1]
		}
	}
	return 0
}

// stopping is how long it took to stop the world, since the process began.
func stopping() metrics.Float64Histogram {
	sample := []metrics.Sample{{Name: "/sched/pauses/stopping/gc:seconds"}}
	metrics.Read(sample)
	h := *sample[0].Value.Float64Histogram()
	h.Counts = slices.Clone(h.Counts)
	return h
}
