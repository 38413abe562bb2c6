package plugin_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/plugin"
	"github.com/seed51309289/quiver/plugin/pack"
	"github.com/seed51309289/quiver/plugin/wat"
)

// A guest for a test is WebAssembly text. Lines that begin with ";;!" hold what its manifest says beyond that of blank, as JSON; PRELUDE stands
// for the exports that most guests have alike, and $attach for a function that registers what the manifest declares.
const prelude = `
  (memory (export "memory") 1 16)
  (func (export "pq_abi") (result i32) i32.const 0x10000)
  (func (export "pq_ctx") (result i32) i32.const 4096)
  (func (export "pq_buf") (param i32) (result i64)
    (if (result i64) (local.get 0)
      (then (i64.const 0x0000400000001000))
      (else (i64.const 0x0000200000001000))))
  (func $attach (result i64)
    (i64.store offset=6152 (i32.const 0) (i64.const LOW))
    (i64.store offset=6160 (i32.const 0) (i64.const HIGH))
    (i64.const 0))
`

const blank = `{"id": "org.example.test", "version": "1.0.0", "abi": {"min": "1.0", "max": "1.0"}, "roles": ["client", "server"], "mode": "local",
  "hooks": [{"op": "rtt_sample", "anchor": "after"}]}`

// nop does nothing, as fast as it can.
const nop = `(module PRELUDE
  (func (export "pq_call") (param i32 i32) (result i64)
    (if (i32.eq (local.get 0) (i32.const 1)) (then (return (call $attach))))
    (i64.const 0)))`

// build assembles and seals a guest.
func build(t testing.TB, name, text string) []byte {
	t.Helper()
	fields := map[string]any{}
	if err := json.Unmarshal([]byte(blank), &fields); err != nil {
		t.Fatal(err)
	}
	if more := comments(text); more != "" {
		if err := json.Unmarshal([]byte(more), &fields); err != nil {
			t.Fatalf("%s: manifest: %v", name, err)
		}
	}
	if ops, ok := fields["hooks"].([]any); ok {
		for i, op := range ops {
			if s, ok := op.(string); ok {
				o, _ := hook.ParseOp(s)
				ops[i] = map[string]any{"op": s, "anchor": o.Anchor().String()}
			}
		}
	}
	b, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	m, err := pack.ParseManifest(name, b)
	if err != nil {
		t.Fatal(err)
	}
	var bits [2]uint64
	for _, h := range m.Hooks {
		bits[h.Op>>6] |= 1 << (h.Op & 63)
	}
	text = strings.ReplaceAll(text, "PRELUDE", prelude)
	text = strings.NewReplacer("LOW", fmt.Sprint(int64(bits[0])), "HIGH", fmt.Sprint(int64(bits[1]))).Replace(text)
	module, err := wat.Assemble(name, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	file, err := pack.Seal(module, m, nil)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func comments(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, ";;!"); ok {
			b.WriteString(rest)
		}
	}
	return b.String()
}

// read returns a guest of testdata.
func read(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".wat"))
	if err != nil {
		t.Fatal(err)
	}
	return build(t, name+".wat", string(text))
}

// engines runs a test on each engine that there is here.
func engines(t *testing.T, f func(t *testing.T, r *plugin.Runtime)) {
	t.Helper()
	for _, kind := range []plugin.EngineKind{plugin.Compiler, plugin.Interpreter} {
		t.Run(kind.String(), func(t *testing.T) {
			r, err := plugin.NewRuntime(plugin.RuntimeConfig{Engine: kind})
			if err != nil {
				t.Skip(err)
			}
			t.Cleanup(func() {
				if err := r.Close(); err != nil {
					t.Error(err)
				}
			})
			f(t, r)
		})
	}
}

func load(t testing.TB, r *plugin.Runtime, file []byte, p plugin.Policy) *plugin.Module {
	t.Helper()
	m, err := r.Load(context.Background(), "test.wasm", file, p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

// attached makes an extension and attaches it to a fake connection.
func attached(t testing.TB, m *plugin.Module) (hook.Extension, *fakeConn) {
	t.Helper()
	x, err := m.New()
	if err != nil {
		t.Fatal(err)
	}
	c := &fakeConn{}
	if err := x.Attach(c, begin(t, m)); err != nil {
		t.Fatal(err)
	}
	return x, c
}

func begin(t testing.TB, m *plugin.Module) *hook.AttachState {
	t.Helper()
	config, err := m.Manifest().Configure(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &hook.AttachState{Now: start, Config: config, State: hook.Confirmed}
}

const start hook.Instant = 1_000_000

// fakeConn records what a plugin asks for, and grants it.
type fakeConn struct {
	reserved []hook.Reservation
	canceled []hook.Token
	timers   map[uint32]hook.Instant
	emitted  []string
	logged   []string
	events   []string
	counts   map[uint32]int64
	faults   []error
	handed   []string
	fields   map[hook.Field]uint64
	refuse   error            // what every method answers
	called   func(hook.Token) // by Reserve
}

func (c *fakeConn) Reserve(r hook.Reservation) (hook.Token, error) {
	if c.refuse != nil {
		return 0, c.refuse
	}
	c.reserved = append(c.reserved, r)
	t := hook.Token(len(c.reserved))
	if c.called != nil {
		c.called(t)
	}
	return t, nil
}

func (c *fakeConn) Cancel(t hook.Token) error {
	c.canceled = append(c.canceled, t)
	return c.refuse
}

func (c *fakeConn) SetTimer(id uint32, at hook.Instant) error {
	if c.timers == nil {
		c.timers = map[uint32]hook.Instant{}
	}
	c.timers[id] = at
	return c.refuse
}

func (c *fakeConn) StopTimer(id uint32) error {
	delete(c.timers, id)
	return c.refuse
}

func (c *fakeConn) Rand(p []byte) error {
	copy(p, bytes.Repeat([]byte{0x5a}, len(p)))
	return c.refuse
}

func (c *fakeConn) Emit(event uint32, payload []byte) error {
	c.emitted = append(c.emitted, fmt.Sprintf("%d %s", event, payload))
	return c.refuse
}

func (c *fakeConn) Count(metric uint32, n int64) error {
	if c.counts == nil {
		c.counts = map[uint32]int64{}
	}
	c.counts[metric] += n
	return c.refuse
}

func (c *fakeConn) Log(text []byte) error {
	c.logged = append(c.logged, string(text))
	return c.refuse
}

func (c *fakeConn) Event(payload []byte) error {
	c.events = append(c.events, string(payload))
	return c.refuse
}

func (c *fakeConn) Get(f hook.Field, path uint8) (uint64, error) {
	if v, ok := c.fields[f]; ok {
		return v, nil
	}
	return 0, hook.ErrRange
}

func (c *fakeConn) Recovered(path uint8, pn uint64, payload []byte) error {
	c.handed = append(c.handed, fmt.Sprintf("%d %d %s", path, pn, payload))
	return c.refuse
}

func (c *fakeConn) Delivered(path uint8, pn uint64) error {
	c.handed = append(c.handed, fmt.Sprintf("%d %d delivered", path, pn))
	return c.refuse
}

func (c *fakeConn) Fault(err error) { c.faults = append(c.faults, err) }

// wantFault checks that the plugin failed exactly once, for that reason.
func (c *fakeConn) wantFault(t testing.TB, why error) *plugin.Fault {
	t.Helper()
	if len(c.faults) != 1 || !errors.Is(c.faults[0], why) {
		t.Fatalf("faults %v, want one: %v", c.faults, why)
	}
	var f *plugin.Fault
	if !errors.As(c.faults[0], &f) {
		t.Fatalf("%T, want a *plugin.Fault", c.faults[0])
	}
	return f
}

// runtime returns one with the engine that is best here.
func runtime(t testing.TB) *plugin.Runtime {
	t.Helper()
	r, err := plugin.NewRuntime(plugin.RuntimeConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}
