package plugin_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/plugin"
)

// asker calls one import for each timer: the import with the number of the timer, with the arguments at 32768. Its result goes to 32832.
const asker = `;;! {"mode": "negotiated", "hooks": ["timer", "frame_process", "frame_write"],
;;!  "frames": [{"name": "a", "max_len": 100}, {"name": "b", "max_len": 50}], "metrics": [{"id": 1, "name": "n", "unit": "", "type": "gauge"}],
;;!  "permissions": ["reserve", "timer", "emit", "count", "log", "rand", "get", "event", "recovered", "math"]}
(module
  (import "pq" "reserve" (func $reserve (param i32 i32 i32) (result i64)))
  (import "pq" "cancel" (func $cancel (param i32) (result i32)))
  (import "pq" "timer_set" (func $timer_set (param i32 i64) (result i32)))
  (import "pq" "timer_cancel" (func $timer_cancel (param i32) (result i32)))
  (import "pq" "emit" (func $emit (param i32 i32 i32) (result i32)))
  (import "pq" "count" (func $count (param i32 i64) (result i32)))
  (import "pq" "log" (func $log (param i32 i32) (result i32)))
  (import "pq" "rand" (func $rand (param i32 i32) (result i32)))
  (import "pq" "get" (func $get (param i32 i32) (result i64)))
  (import "pq" "event" (func $event (param i32 i32) (result i32)))
  (import "pq" "recovered" (func $recovered (param i32 i64 i32 i32) (result i32)))
  (import "pq" "delivered" (func $delivered (param i32 i64) (result i32)))
  (import "pq" "xor" (func $xor (param i32 i32 i32) (result i32)))
  (import "pq" "gf256_muladd" (func $muladd (param i32 i32 i32 i32) (result i32)))
  (import "pq" "memcmp_ct" (func $compare (param i32 i32 i32) (result i32)))
  PRELUDE
  (func $a (result i32) (i32.wrap_i64 (i64.load offset=32768 (i32.const 0))))
  (func $b (result i32) (i32.wrap_i64 (i64.load offset=32776 (i32.const 0))))
  (func $c (result i32) (i32.wrap_i64 (i64.load offset=32784 (i32.const 0))))
  (func $d (result i32) (i32.wrap_i64 (i64.load offset=32792 (i32.const 0))))
  (func $B (result i64) (i64.load offset=32776 (i32.const 0)))
  (func $ask (param $n i32) (result i64)
    (if (i32.eq (local.get $n) (i32.const 0)) (then (return (call $reserve (call $a) (call $b) (call $c)))))
    (if (i32.eq (local.get $n) (i32.const 1)) (then (return (i64.extend_i32_s (call $cancel (call $a))))))
    (if (i32.eq (local.get $n) (i32.const 2)) (then (return (i64.extend_i32_s (call $timer_set (call $a) (call $B))))))
    (if (i32.eq (local.get $n) (i32.const 3)) (then (return (i64.extend_i32_s (call $timer_cancel (call $a))))))
    (if (i32.eq (local.get $n) (i32.const 4)) (then (return (i64.extend_i32_s (call $emit (call $a) (call $b) (call $c))))))
    (if (i32.eq (local.get $n) (i32.const 5)) (then (return (i64.extend_i32_s (call $count (call $a) (call $B))))))
    (if (i32.eq (local.get $n) (i32.const 6)) (then (return (i64.extend_i32_s (call $log (call $a) (call $b))))))
    (if (i32.eq (local.get $n) (i32.const 7)) (then (return (i64.extend_i32_s (call $rand (call $a) (call $b))))))
    (if (i32.eq (local.get $n) (i32.const 8)) (then (return (call $get (call $a) (call $b)))))
    (if (i32.eq (local.get $n) (i32.const 9)) (then (return (i64.extend_i32_s (call $event (call $a) (call $b))))))
    (if (i32.eq (local.get $n) (i32.const 10)) (then (return (i64.extend_i32_s (call $recovered (call $a) (call $B) (call $c) (call $d))))))
    (if (i32.eq (local.get $n) (i32.const 11)) (then (return (i64.extend_i32_s (call $delivered (call $a) (call $B))))))
    (if (i32.eq (local.get $n) (i32.const 12)) (then (return (i64.extend_i32_s (call $xor (call $a) (call $b) (call $c))))))
    (if (i32.eq (local.get $n) (i32.const 13)) (then (return (i64.extend_i32_s (call $muladd (call $a) (call $b) (call $c) (call $d))))))
    (return (i64.extend_i32_s (call $compare (call $a) (call $b) (call $c)))))
  (func (export "pq_call") (param $op i32) (param $arg i32) (result i64)
    (if (i32.eq (local.get $op) (i32.const 1)) (then (return (call $attach))))
    (if (i32.eq (local.get $op) (i32.const 4))
      (then (i64.store offset=32832 (i32.const 0) (call $ask (local.get $arg)))))
    (i64.const 0)))`

const (
	askReserve = iota
	askCancel
	askTimerSet
	askTimerCancel
	askEmit
	askCount
	askLog
	askRand
	askGet
	askEvent
	askRecovered
	askDelivered
	askXOR
	askMulAdd
	askCompare
)

// ask has the guest call an import and returns what it got.
func ask(x hook.Extension, n uint32, args ...uint64) int64 {
	mem := plugin.Memory(x)
	for i, a := range args {
		binary.LittleEndian.PutUint64(mem[32768+8*i:], a)
	}
	x.(hook.Timers).Timer(start, n)
	return int64(binary.LittleEndian.Uint64(plugin.Memory(x)[32832:]))
}

func TestWhatAGuestAsksForReachesTheConnection(t *testing.T) {
	engines(t, func(t *testing.T, r *plugin.Runtime) {
		x, c := attached(t, load(t, r, build(t, "asker", asker), plugin.Policy{}))
		c.fields = map[hook.Field]uint64{hook.FieldWindow: 12000, hook.FieldNow: 1<<64 - 1}
		copy(plugin.Memory(x)[40000:], "some text")
		const minus4 = 1<<64 - 4
		for _, tc := range []struct {
			n    uint32
			args []uint64
			want int64
		}{
			{askReserve, []uint64{1, 40, 3}, 1}, {askReserve, []uint64{0, 100, 0}, 2},
			{askReserve, []uint64{2, 10, 0}, -4}, {askReserve, []uint64{0, hook.MaxFrameBody + 1, 0}, -4}, {askReserve, []uint64{0, 1, 4}, -4},
			{askCancel, []uint64{2}, 0},
			{askTimerSet, []uint64{3, 777}, 0}, {askTimerSet, []uint64{4, 1 << 63}, -4}, {askTimerCancel, []uint64{9}, 0},
			{askEmit, []uint64{5, 40000, 4}, 0}, {askEmit, []uint64{5, 65530, 7}, -4}, {askEmit, []uint64{5, 1<<32 - 1, 2}, -4},
			{askCount, []uint64{1, minus4}, 0},
			{askLog, []uint64{40005, 4}, 0}, {askLog, []uint64{40005, 1<<32 - 1}, -4},
			{askRand, []uint64{41000, 3}, 0}, {askRand, []uint64{65536, 1}, -4}, {askRand, []uint64{65536, 0}, 0},
			{askGet, []uint64{uint64(hook.FieldWindow), 0}, 12000}, {askGet, []uint64{uint64(hook.FieldNow), 0}, 1<<63 - 1},
			{askGet, []uint64{99, 0}, -4}, {askGet, []uint64{uint64(hook.FieldWindow), 256}, -4},
			{askEvent, []uint64{40000, 9}, 0}, {askEvent, []uint64{70000, 1}, -4},
			{askRecovered, []uint64{1, 1 << 40, 40000, 4}, 0}, {askRecovered, []uint64{256, 1, 40000, 4}, -4}, {askRecovered, []uint64{1, 1, 65536, 4}, -4},
			{askDelivered, []uint64{2, 8}, 0},
		} {
			if got := ask(x, tc.n, tc.args...); got != tc.want {
				t.Errorf("import %d%v = %d, want %d", tc.n, tc.args, got, tc.want)
			}
		}
		want := fmt.Sprint([]hook.Reservation{{Frame: 1, Size: 40, Urgent: true, Wait: true}, {Size: 100}}, []hook.Token{2}, map[uint32]hook.Instant{3: 777},
			[]string{"5 some"}, map[uint32]int64{1: -4}, []string{"text"}, []string{"some text"}, []string{"1 1099511627776 some", "2 8 delivered"})
		if got := fmt.Sprint(c.reserved, c.canceled, c.timers, c.emitted, c.counts, c.logged, c.events, c.handed); got != want {
			t.Errorf("asked for\n%s, want\n%s", got, want)
		}
		if got := plugin.Memory(x)[41000:41004]; !bytes.Equal(got, []byte{0x5a, 0x5a, 0x5a, 0}) {
			t.Errorf("random bytes %x", got)
		}
		for err, want := range map[error]int64{hook.ErrPermission: -2, hook.ErrLimit: -3, hook.ErrRange: -4, hook.ErrInactive: -5, hook.ErrNoToken: -6, errors.New("?"): -4} {
			c.refuse = err
			if got := ask(x, askLog, 40000, 1); got != want {
				t.Errorf("%v became %d, want %d", err, got, want)
			}
		}
		if len(c.faults) > 0 {
			t.Error(c.faults)
		}
	})
}

// times multiplies in GF(256) with the polynomial 0x11d, one bit at a time.
func times(a, b byte) (p byte) {
	for ; b > 0; b >>= 1 {
		if b&1 != 0 {
			p ^= a
		}
		carry := a & 0x80
		if a <<= 1; carry != 0 {
			a ^= 0x1d
		}
	}
	return p
}

func TestHostArithmeticIsThatOfTheField(t *testing.T) {
	x, _ := attached(t, load(t, runtime(t), build(t, "asker", asker), plugin.Policy{FuelRate: -1}))
	mem := plugin.Memory(x)
	random := rand.New(rand.NewPCG(1, 2))
	for n := range 300 {
		length, c := random.IntN(1500), byte(n)
		dst, src := 40000+random.IntN(64), 50000+random.IntN(64)
		for i := range length {
			mem[dst+i], mem[src+i] = byte(random.Uint32()), byte(random.Uint32())
		}
		before := slices.Clone(mem[dst-8 : dst+length+8])
		if r := ask(x, askMulAdd, uint64(dst), uint64(src), uint64(length), uint64(c)); r != 0 {
			t.Fatalf("gf256_muladd = %d", r)
		}
		for i := range length {
			before[8+i] ^= times(mem[src+i], c)
		}
		if !bytes.Equal(before, mem[dst-8:dst+length+8]) {
			t.Fatalf("%d bytes times %d: not what the field says, or more than was asked for", length, c)
		}
		if r := ask(x, askXOR, uint64(dst), uint64(src), uint64(length)); r != 0 {
			t.Fatalf("xor = %d", r)
		}
		for i := range length {
			before[8+i] ^= mem[src+i]
		}
		if !bytes.Equal(before, mem[dst-8:dst+length+8]) {
			t.Fatalf("xor of %d bytes", length)
		}
		same := ask(x, askCompare, uint64(dst), uint64(dst), uint64(length))
		if length > 0 {
			copy(mem[src:], mem[dst:dst+length])
			mem[src+random.IntN(length)] ^= 1 << random.IntN(8)
			if r := ask(x, askCompare, uint64(dst), uint64(src), uint64(length)); r != 1 || same != 0 {
				t.Fatalf("memcmp_ct of %d bytes = %d with one bit changed and %d with none, want 1 and 0", length, r, same)
			}
		}
	}
	for _, args := range [][]uint64{{40000, 40001, 2, 3}, {40000, 65530, 8, 3}, {65530, 40000, 8, 3}, {40000, 50000, 8, 256}, {1<<32 - 1, 1<<32 - 1, 1<<32 - 1, 1}} {
		if r := ask(x, askMulAdd, args...); r != -4 {
			t.Errorf("gf256_muladd%v = %d, want -4", args, r)
		}
	}
	if r := ask(x, askXOR, 40000, 40008, 8); r != 0 {
		t.Errorf("xor of neighbours = %d", r)
	}
}

func TestImportsOutsideOfACallAreInactive(t *testing.T) {
	const early = `;;! {"permissions": ["log"]}
(module (import "pq" "log" (func $log (param i32 i32) (result i32)))
  PRELUDE
  (global $got (mut i32) (i32.const 0))
  (func (export "pq_init") (global.set $got (call $log (i32.const 0) (i32.const 1))))
  (func (export "pq_call") (param i32 i32) (result i64)
    (if (i32.eq (local.get 0) (i32.const 1)) (then (drop (call $attach)) (return (i64.extend_i32_s (i32.add (global.get $got) (i32.const 5))))))
    (i64.const 0)))`
	_, c := attached(t, load(t, runtime(t), build(t, "early", early), plugin.Policy{}))
	if len(c.logged) > 0 {
		t.Errorf("pq_init logged %q", c.logged)
	}
}

func TestAConnectionThatCallsBackDoesNotReachTheRunningGuest(t *testing.T) {
	x, c := attached(t, load(t, runtime(t), build(t, "asker", asker), plugin.Policy{}))
	c.called = func(hook.Token) {
		x.(hook.Timers).Timer(start, askEmit)
		if n := x.(hook.Frames).WriteFrame(1, make([]byte, 10), &hook.PacketPlan{}); n != 0 {
			t.Errorf("WriteFrame within a call = %d", n)
		}
	}
	if r := ask(x, askReserve, 1, 2, 0); r != 1 {
		t.Errorf("reserve = %d, want token 1", r)
	}
	if len(c.emitted) > 0 || len(c.faults) > 0 {
		t.Errorf("emitted %v, faults %v", c.emitted, c.faults)
	}
}
