package plugin

import (
	"errors"
	"testing"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/plugin/pack"
	"github.com/seed51309289/quiver/plugin/wat"
)

// spender runs some 100,000 units of fuel for each timer: fifty of them are the burst.
const spender = `(module
  (memory (export "memory") 1 1)
  (func (export "pq_abi") (result i32) i32.const 0x10000)
  (func (export "pq_ctx") (result i32) i32.const 4096)
  (func (export "pq_buf") (param i32) (result i64)
    (if (result i64) (local.get 0) (then (i64.const 0x0000400000001000)) (else (i64.const 0x0000200000001000))))
  (func (export "pq_call") (param $op i32) (param $arg i32) (result i64)
    (local $n i32)
    (if (i32.eq (local.get $op) (i32.const 4))
      (then (local.set $n (i32.const 14284))
        (loop $on (br_if $on (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))))
    (if (i32.eq (local.get $op) (i32.const 1)) (then (i64.store offset=6152 (i32.const 0) (i64.const 16))))
    (i64.const 0)))`

func spenderFile(t *testing.T, id string) []byte {
	t.Helper()
	module, err := wat.Assemble("spender", []byte(spender))
	if err != nil {
		t.Fatal(err)
	}
	m, err := pack.ParseManifest("spender", []byte(`{"id": "`+id+`", "version": "1.0.0", "abi": {"min": "1.0", "max": "1.0"}, "roles": ["client", "server"], "mode": "local",
		"hooks": [{"op": "timer", "anchor": "replace"}], "permissions": ["timer"]}`))
	if err != nil {
		t.Fatal(err)
	}
	file, err := pack.Seal(module, m, nil)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// spends attaches x and lets it run so many timers, or until it has no fuel. It returns how much it ran.
func spends(t *testing.T, x hook.Extension, calls int) (fuel uint64) {
	t.Helper()
	if x.(*extension).conn == nil {
		if err := x.Attach(&trialConn{}, &hook.AttachState{Now: 1}); err != nil {
			t.Fatal(err)
		}
	}
	for range calls {
		x.(hook.Timers).Timer(1, 0)
	}
	if err := x.(*extension).fault; err != nil && !errors.Is(err, ErrFuel) {
		t.Fatal(err)
	}
	return x.(hook.Meter).Usage().Fuel
}

func TestAllPluginsOfAConnectionPayFromOneBucket(t *testing.T) {
	r := process(t)
	h := &Host{Runtime: r}
	for _, id := range []string{"org.example.one", "org.example.two"} {
		m, err := r.Load(t.Context(), id, spenderFile(t, id), Policy{})
		if err != nil {
			t.Fatal(err)
		}
		h.Attach = append(h.Attach, Use{Plugin: m})
	}
	free, err := r.Load(t.Context(), "free", spenderFile(t, "org.example.free"), Policy{FuelRate: -1})
	if err != nil {
		t.Fatal(err)
	}
	h.Attach = append(h.Attach, Use{Plugin: free})
	for range 2 { // and each connection from its own
		list, err := h.newSession(nil).attachments()
		if err != nil {
			t.Fatal(err)
		}
		first := spends(t, list[0].Extension, 30)
		all := first + spends(t, list[1].Extension, 100)
		if first >= DefaultFuelBurst || all < DefaultFuelBurst || all > DefaultFuelBurst+200 {
			t.Errorf("the first ran %d units, both %d, want %d", first, all, DefaultFuelBurst)
		}
		if n := spends(t, list[2].Extension, 100); n < 2*DefaultFuelBurst {
			t.Errorf("the plugin that does not count ran %d units", n)
		}
	}
}

// TestAPluginOfThePeerCannotStarveThoseOfThisEnd: without fuel they would fail, and be run no more.
func TestAPluginOfThePeerCannotStarveThoseOfThisEnd(t *testing.T) {
	r := process(t)
	own, err := r.Load(t.Context(), "own", spenderFile(t, "org.example.own"), Policy{})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name  string
		h     *Host
		their uint64
	}{
		{"beside others", &Host{Runtime: r, Accept: &Policy{}, Attach: []Use{{Plugin: own}}}, DefaultFuelBurst / 2},
		{"alone", &Host{Runtime: r, Accept: &Policy{}}, DefaultFuelBurst},
		{"a stricter policy", &Host{Runtime: r, Accept: &Policy{FuelBurst: 1_000_000}, Attach: []Use{{Plugin: own}}}, 500_000},
	} {
		s := tc.h.newSession(nil)
		m, err := r.Load(t.Context(), "theirs", spenderFile(t, "org.example.theirs"), Policy{Remote: true})
		if err != nil {
			t.Fatal(err)
		}
		x, err := m.newExtension(m.policy.pays(s.theirs))
		if err != nil {
			t.Fatal(err)
		}
		if n := spends(t, x, 100); n < tc.their-200 || n > tc.their+200 {
			t.Errorf("%s: the peer's plugin ran %d units, want %d", tc.name, n, tc.their)
		}
		if len(tc.h.Attach) == 0 {
			continue
		}
		list, err := s.attachments()
		if err != nil {
			t.Fatal(err)
		}
		calls := int(tc.their/100_000) - 1
		if spends(t, list[0].Extension, calls); list[0].Extension.(*extension).fault != nil {
			t.Errorf("%s: this end's own failed: %v", tc.name, list[0].Extension.(*extension).fault)
		}
	}
}
