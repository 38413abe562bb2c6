package plugin_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/seed51309289/quiver/plugin"
	"github.com/seed51309289/quiver/plugin/pack"
)

// body is the end of a guest whose pq_call does nothing.
const body = `(func (export "pq_call") (param i32 i32) (result i64)
    (if (i32.eq (local.get 0) (i32.const 1)) (then (return (call $attach))))
    (i64.const 0)))`

// shape is a guest without a prelude: what it answers to pq_abi, pq_ctx and pq_buf.
func shape(abi, ctx, rx, tx string) string {
	return `(module (memory (export "memory") 1)
  (func (export "pq_abi") (result i32) (i32.const ` + abi + `))
  (func (export "pq_ctx") (result i32) (i32.const ` + ctx + `))
  (func (export "pq_buf") (param i32) (result i64)
    (if (result i64) (local.get 0) (then (i64.const ` + tx + `)) (else (i64.const ` + rx + `))))
  (func (export "pq_call") (param i32 i32) (result i64)
    (if (i32.eq (local.get 0) (i32.const 1)) (then (i64.store offset=6152 (i32.const 0) (i64.const LOW))))
    (i64.const 0)))`
}

// TestRefusalsNameFileFieldAndRule: each is one sentence.
func TestRefusalsNameFileFieldAndRule(t *testing.T) {
	const good = "0x0000200000001000"
	for _, tc := range []struct{ name, text, field, rule string }{
		{"another ABI", `;;! {"abi": {"min": "1.1", "max": "2.0"}}` + "\n" + nop, "abi", "1.0"},
		{"an ABI that the manifest does not say", shape("0x20000", "4096", good, good), "", "pq_abi: is written for ABI 2.0, this host has 1.0"},
		{"a newer minor version", shape("0x10001", "4096", good, good), "", "ABI 1.1"},
		{"a context block that is not aligned", shape("0x10000", "4100", good, good), "", "pq_ctx: block at 4100, want a multiple of 8"},
		{"a context block out of bounds", shape("0x10000", "61448", good, good), "", "pq_ctx: 4096 bytes at 61448 leave the memory of 65536 bytes"},
		{"a context block far out of bounds", shape("0x10000", "-8", good, good), "", "leave the memory"},
		{"a buffer that is too small", shape("0x10000", "4096", "0x00002000000005ff", good), "", "pq_buf(0): 1535 bytes, want at least 1536"},
		{"a buffer to write to that is too small", shape("0x10000", "4096", good, "0x0000400000000001"), "", "pq_buf(1): 1 bytes"},
		{"a buffer out of bounds", shape("0x10000", "4096", "0xffff000000001000", good), "", "pq_buf(0): 4096 bytes at 4294901760 leave the memory"},
		{"a buffer of negative length", shape("0x10000", "4096", "0x00002000ffffffff", good), "", "leave the memory"},
		{"a buffer at 0", shape("0x10000", "8192", "0x0000000000001000", good), "", "pq_buf: a buffer at 0"},
		{"buffers on each other", shape("0x10000", "4096", good, "0x0000280000001000"), "", "pq_buf(1): lies on pq_buf(0)"},
		{"a buffer on the context block", shape("0x10000", "4096", "0x0000180000001000", "0x0000400000001000"), "", "pq_buf(0): lies on pq_ctx"},
		{"too little room for payload", ";;! {\"views\": [\"payload\"], \"hooks\": [\"rtt_sample\", \"rx_payload\"]}\n" +
			shape("0x10000", "4096", "0x0000200000000600", "0x0000400000001000"), "", "pq_buf(0): 1536 bytes, want at least 3072"},

		{"no dispatcher", `(module PRELUDE)`, "pq_call", "is not exported"},
		{"no memory", strings.Replace(shape("0x10000", "4096", good, good), ` (export "memory")`, "", 1), "memory", "is not exported"},
		{"a dispatcher of another type", `(module PRELUDE (func (export "pq_call") (param i32) (result i64) (i64.const 0)))`, "pq_call", "want (i32, i32) -> i64"},
		{"a dispatcher that is a global", `(module PRELUDE (global (export "pq_call") i32 (i32.const 0)))`, "pq_call", "want a function"},
		{"an export of the host's name", `(module PRELUDE (global $g (export "pq_state0") (mut i32) (i32.const 0)) ` + body, "", "the name is the host's"},
		{"a start function", `(module PRELUDE (func $s) (start $s) ` + body, "", "start"},
		{"too much memory", strings.Replace(`(module PRELUDE `+body, "PRELUDE", strings.Replace(prelude, "1 16", "1 17", 1), 1), "", "memory"},
		{"more memory than the policy has", ";;! {\"limits\": {\"memory_pages\": 40}}\n" + nop, "limits.memory_pages", "40, at most 32 are allowed here"},
		{"more fuel than the policy has", ";;! {\"limits\": {\"fuel\": 150001}}\n" + nop, "limits.fuel", "150001, at most 150000 are allowed here"},

		{"an import without permission", `(module (import "pq" "log" (func (param i32 i32) (result i32))) PRELUDE ` + body, "permissions", `imports log, which needs "log"`},
		{"an import that there is not", `(module (import "pq" "exec" (func)) PRELUDE ` + body, "import exec", "this host has no such function"},
		{"an import of another type", ";;! {\"permissions\": [\"log\"]}\n(module (import \"pq\" \"log\" (func (param i32) (result i32))) PRELUDE " + body, "import log", "(i32, i32) -> i32"},
		{"an import from elsewhere", `(module (import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32))) PRELUDE ` + body, "", "WASI"},

		{"a hook that attach does not register", ";;! {\"hooks\": [\"rtt_sample\", \"packet_lost\"]}\n" + strings.Replace(`(module PRELUDE `+body, "PRELUDE", strings.Replace(prelude, "HIGH", "0", 1), 1), "attach", "the manifest declares packet_lost, which attach does not register"},
		{"a hook that the manifest does not declare", strings.Replace(`(module PRELUDE `+body, "PRELUDE", strings.Replace(prelude, "LOW", "-1", 1), 1), "attach", "attach registers op 8, which the manifest does not declare"},
		{"an attach that fails", `(module PRELUDE (func (export "pq_call") (param i32 i32) (result i64) (i64.const -9)))`, "attach", "error -9"},
		{"an attach that returns something else", `(module PRELUDE (func (export "pq_call") (param i32 i32) (result i64) (i64.const 4)))`, "attach", "returned 4"},
		{"an attach that defers", `(module PRELUDE (func (export "pq_call") (param i32 i32) (result i64) (i64.const -1)))`, "attach", "returned -1"},
		{"an attach that never ends", `(module PRELUDE (func (export "pq_call") (param i32 i32) (result i64) (loop (br 0)) (i64.const 0)))`, "attach", "ran out of fuel after 800000"},
		{"an attach that traps", `(module PRELUDE (func (export "pq_call") (param i32 i32) (result i64) unreachable))`, "attach", "trapped: unreachable"},
		{"a pq_init that never ends", `(module PRELUDE (func (export "pq_init") (loop (br 0))) ` + body, "pq_init", "ran out of fuel"},
		{"a pq_ctx that never ends", `(module (memory (export "memory") 1) (func (export "pq_abi") (result i32) (i32.const 0x10000))
			(func (export "pq_ctx") (result i32) (loop (br 0)) (i32.const 0)) (func (export "pq_buf") (param i32) (result i64) (i64.const 0))
			(func (export "pq_call") (param i32 i32) (result i64) (i64.const 0)))`, "", "pq_ctx: ran out of fuel"},
		{"a detach that never ends", `(module PRELUDE (func (export "pq_call") (param i32 i32) (result i64)
			(if (i32.eq (local.get 0) (i32.const 1)) (then (return (call $attach)))) (loop (br 0)) (i64.const 0)))`, "detach", "ran out of fuel after 200000"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			engines(t, func(t *testing.T, r *plugin.Runtime) {
				_, err := r.Load(context.Background(), "bad.wasm", build(t, tc.name, tc.text), plugin.Policy{MaxPages: 32, MaxFuel: 150_000})
				var e *pack.Error
				if !errors.As(err, &e) {
					t.Fatalf("%v, want a *pack.Error", err)
				}
				if e.File != "bad.wasm" || e.Field != tc.field || !strings.Contains(e.Rule, tc.rule) || strings.Contains(e.Error(), "\n") {
					t.Errorf("%q of %q: %q\nwant field %q and %q in one line", e.Field, e.File, e.Rule, tc.field, tc.rule)
				}
				if modules, _, _ := plugin.Kept(r); modules != 0 {
					t.Errorf("%d modules are kept", modules)
				}
			})
		})
	}
}

func TestCodeThatIsNotValidIsRefused(t *testing.T) {
	file := build(t, "nop", nop)
	end := bytes.LastIndex(file, []byte{0x42, 0, 0x0b}) // i64.const 0, end
	file[end] = 0x41                                    // i32.const
	engines(t, func(t *testing.T, r *plugin.Runtime) {
		_, err := r.Load(context.Background(), "bad.wasm", file, plugin.Policy{})
		var e *pack.Error
		if !errors.As(err, &e) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v, want a *pack.Error in one line", err)
		}
	})
}

func TestTrustIsAskedBeforeAnythingIsCompiled(t *testing.T) {
	r := runtime(t)
	_, err := r.Load(context.Background(), "bad.wasm", build(t, "nop", nop), plugin.Policy{Trust: &pack.Trust{}})
	if !errors.Is(err, pack.ErrUnsigned) {
		t.Errorf("%v, want ErrUnsigned", err)
	}
	if _, _, records := plugin.Kept(r); records != 0 {
		t.Errorf("%d plugins are remembered", records)
	}
}

func TestALoadThatWasGivenUpLeavesNothing(t *testing.T) {
	r := runtime(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := r.Load(ctx, "nop.wasm", build(t, "nop", nop), plugin.Policy{}); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want nothing or context.Canceled", err)
	}
	load(t, r, build(t, "nop", nop), plugin.Policy{})
}
