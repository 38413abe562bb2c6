package plugin_test

import (
	"bytes"
	"context"
	"sync"
	"testing"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/plugin"
)

// diary writes to its memory, its globals and both buffers in each call, and refuses to be attached if it finds anything there.
const diary = `;;! {"hooks": ["rtt_sample", "app_call"], "app_ops": [{"id": 1, "name": "write"}]}
(module PRELUDE
  (global $calls (mut i32) (i32.const 7))
  (global $wide (mut i64) (i64.const 8))
  (global $ratio (mut f64) (f64.const 0.5))
  (data (i32.const 50000) "as it began")
  (func (export "pq_init") (i32.store8 (i32.const 60000) (i32.const 33)))
  (func $clean (result i32)
    (local $at i32)
    (local.set $at (i32.const 12288))
    (block $dirty
      (loop $next
        (br_if $dirty (i64.ne (i64.load (local.get $at)) (i64.const 0)))
        (br_if $next (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 8))) (i32.const 50000))))
      (br_if $dirty (i32.ne (i32.load8_u (i32.const 60000)) (i32.const 33)))
      (br_if $dirty (i32.ne (i32.load8_u (i32.const 50000)) (i32.const 97)))
      (br_if $dirty (i32.ne (global.get $calls) (i32.const 7)))
      (br_if $dirty (i64.ne (global.get $wide) (i64.const 8)))
      (br_if $dirty (f64.ne (global.get $ratio) (f64.const 0.5)))
      (return (i32.const 1)))
    (i32.const 0))
  (func (export "pq_call") (param $op i32) (param $arg i32) (result i64)
    (if (i32.eq (local.get $op) (i32.const 1))
      (then
        (if (i32.eqz (call $clean)) (then (return (i64.const -99))))
        (return (call $attach))))
    (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
    (global.set $wide (i64.const -1))
    (global.set $ratio (f64.const 3.25))
    (memory.fill (i32.const 12289) (i32.const 0xaa) (i32.const 45000))
    (i32.store8 (i32.const 60000) (i32.const 34))
    (i64.const 0)))`

func TestNothingOfOneConnectionReachesTheNext(t *testing.T) {
	engines(t, func(t *testing.T, r *plugin.Runtime) {
		m := load(t, r, build(t, "diary", diary), plugin.Policy{FuelRate: -1})
		var before []byte
		for n := range 5 {
			if n > 0 && plugin.Idle(m) != 1 {
				t.Fatalf("%d instances wait, want the one of the last connection", plugin.Idle(m))
			}
			x, err := m.New()
			if err != nil {
				t.Fatal(err)
			}
			mem := plugin.Memory(x)
			if n == 0 {
				before = bytes.Clone(mem)
			} else if !bytes.Equal(mem, before) {
				t.Fatal("the memory is not that of the first connection")
			}
			if err := x.Attach(&fakeConn{}, begin(t, m)); err != nil {
				t.Fatalf("connection %d: %v", n, err)
			}
			x.(hook.RTTSamples).RTTSampled(start, 0, &hook.RTT{}, 0)
			if _, err := x.(hook.Callee).AppCall(1, bytes.Repeat([]byte("secret"), 200), nil); err != nil {
				t.Fatal(err)
			}
			x.Detach(hook.DetachClosed)
		}
	})
}

// TestInstancesThatCannotBeMadeAsTheyWereAreNotUsedAgain: what else a guest may change than memory and globals, and memory that grew.
func TestInstancesThatCannotBeMadeAsTheyWereAreNotUsedAgain(t *testing.T) {
	for _, tc := range []struct{ name, rest, act string }{
		{"memory that grew", "", `(drop (memory.grow (i32.const 1)))`},
		{"a data segment that was dropped", `(data $d "x")`, `(data.drop $d)`},
		{"a table that was filled", `(table 2 funcref) (elem $e func 0)`, `(table.init $e (i32.const 0) (i32.const 0) (i32.const 1))`},
		{"a table that was copied", `(table 2 funcref) (elem (i32.const 0) 0)`, `(table.copy (i32.const 1) (i32.const 0) (i32.const 1))`},
		{"an element segment that was dropped", `(table 2 funcref) (elem $e func 0)`, `(elem.drop $e)`},
		{"a vector that is a global", `(global $v (mut v128) (v128.const i64x2 1 2))`, `(global.set $v (v128.const i64x2 3 4))`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			engines(t, func(t *testing.T, r *plugin.Runtime) {
				m := load(t, r, build(t, tc.name, `(module PRELUDE `+tc.rest+`
  (global $used (mut i32) (i32.const 0))
  (func (export "pq_call") (param i32 i32) (result i64)
    (if (i32.eq (local.get 0) (i32.const 1))
      (then (if (global.get $used) (then (return (i64.const -99)))) (return (call $attach))))
    (if (i32.eq (local.get 0) (i32.const 63)) (then (global.set $used (i32.const 1)) `+tc.act+`))
    (i64.const 0)))`), plugin.Policy{})
				for range 3 {
					x, c := attached(t, m)
					x.(hook.RTTSamples).RTTSampled(start, 0, &hook.RTT{}, 0)
					x.(hook.RTTSamples).RTTSampled(start, 0, &hook.RTT{}, 0)
					x.Detach(hook.DetachClosed)
					if len(c.faults) > 0 {
						t.Fatal(c.faults)
					}
				}
				if n := plugin.Idle(m); n != 0 && tc.name != "memory that grew" || n > 1 {
					t.Errorf("%d instances wait", n)
				}
			})
		})
	}
}

func TestAnInstanceThatFailedIsNotUsedAgain(t *testing.T) {
	m := load(t, runtime(t), build(t, "div", `(module PRELUDE
  (func (export "pq_call") (param i32 i32) (result i64)
    (if (i32.eq (local.get 0) (i32.const 1)) (then (return (call $attach))))
    (if (i32.eq (local.get 0) (i32.const 63)) (then unreachable))
    (i64.const 0)))`), plugin.Policy{})
	waiting := plugin.Idle(m)
	x, c := attached(t, m)
	x.(hook.RTTSamples).RTTSampled(start, 0, &hook.RTT{}, 0)
	c.wantFault(t, plugin.ErrTrap)
	x.Detach(hook.DetachFault)
	if n := plugin.Idle(m); n != waiting-1 {
		t.Errorf("%d instances wait, want %d", n, waiting-1)
	}
}

// TestAnInstanceIsForOneConnectionOnly, at the same time and after.
func TestAnInstanceIsForOneConnectionOnly(t *testing.T) {
	m := load(t, runtime(t), build(t, "nop", nop), plugin.Policy{})
	x, _ := attached(t, m)
	if err := x.Attach(&fakeConn{}, begin(t, m)); err == nil {
		t.Error("attached twice")
	}
	x.Detach(hook.DetachClosed)
	if err := x.Attach(&fakeConn{}, begin(t, m)); err == nil {
		t.Error("attached again after it was detached")
	}
	x.Detach(hook.DetachClosed)
	if u := x.(hook.Meter).Usage(); u.Calls == 0 || u.Memory == 0 {
		t.Errorf("usage %+v is forgotten", u)
	}
}

func TestManyConnectionsLoadAndUseOnePluginAtOnce(t *testing.T) {
	r, file := runtime(t), build(t, "diary", diary)
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			m, err := r.Load(context.Background(), "diary.wasm", file, plugin.Policy{FuelRate: -1})
			if err != nil {
				t.Error(err)
				return
			}
			defer m.Close()
			for range 20 {
				x, err := m.New()
				if err != nil {
					t.Error(err)
					return
				}
				if err := x.Attach(&fakeConn{}, begin(t, m)); err != nil {
					t.Error(err)
				}
				x.(hook.RTTSamples).RTTSampled(start, 0, &hook.RTT{}, 0)
				x.Detach(hook.DetachClosed)
			}
		})
	}
	all.Wait()
	if modules, unused, _ := plugin.Kept(r); modules != 1 || unused != 1 {
		t.Errorf("%d modules, %d unused, want one that nobody uses", modules, unused)
	}
}
