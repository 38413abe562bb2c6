package drive_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/plugin"
	"github.com/seed51309289/quiver/plugin/drive"
	"github.com/seed51309289/quiver/plugins"
)

// shipped returns a plugin that comes with quiver.
func shipped(t *testing.T, name string) (drive.Subject, *plugin.Module) {
	t.Helper()
	b, err := plugins.File(name)
	if err != nil {
		t.Fatal(err)
	}
	m, err := plugin.Load(t.Context(), name+".wasm", b, plugin.Policy{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	config, err := m.Manifest().Configure(nil)
	if err != nil {
		t.Fatal(err)
	}
	s := drive.Subject{New: m.New, Config: config}
	for _, op := range m.Manifest().AppOps {
		s.Calls = append(s.Calls, op.ID)
	}
	return s, m
}

func TestEveryDeclaredHookOfEveryPluginIsDriven(t *testing.T) {
	for _, name := range plugins.Names() {
		s, m := shipped(t, name)
		costs, err := drive.Bench(t.Context(), s)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, h := range m.Manifest().Hooks {
			i := slices.IndexFunc(costs, func(c drive.Cost) bool { return c.Op == h.Op })
			if i < 0 && h.Op == hook.OpTimer {
				continue // it may have set none
			}
			if i < 0 || costs[i].Calls == 0 || costs[i].FuelMax == 0 || costs[i].FuelMean > float64(costs[i].FuelMax) {
				t.Errorf("%s: no cost of %v among %v", name, h.Op, costs)
			}
		}
		if !slices.IsSortedFunc(costs, func(a, b drive.Cost) int { return int(a.Op) - int(b.Op) }) {
			t.Errorf("%s: costs out of order: %v", name, costs)
		}
	}
}

func TestNoInputBreaksAPluginThatIsShipped(t *testing.T) {
	for _, name := range plugins.Names() {
		s, m := shipped(t, name)
		r, err := drive.Fuzz(t.Context(), s, drive.FuzzOptions{Seed: 1, Time: 300 * time.Millisecond})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, f := range r.Failures {
			t.Errorf("%s: seed %d, call %d, %v(%s): %v", name, f.Seed, f.Call, f.Op, f.Told, f.Err)
		}
		if r.Calls < 400 || r.Episodes == 0 {
			t.Errorf("%s: %d calls in %d episodes", name, r.Calls, r.Episodes)
		}
		for _, h := range m.Manifest().Hooks {
			if !slices.ContainsFunc(r.Costs, func(c drive.Cost) bool { return c.Op == h.Op }) && h.Op != hook.OpTimer {
				t.Errorf("%s: %v was never called", name, h.Op)
			}
		}
	}
}

// touchy is an extension that fails when it hears of a packet of an odd number, lost.
type touchy struct {
	conn  hook.Conn
	calls uint64
}

var errTouched = errors.New("do not touch")

func (x *touchy) Info() *hook.Info {
	return &hook.Info{ID: "test.touchy", Version: "1.0.0", Hooks: []hook.HookDecl{
		{Op: hook.OpRTTSample, Anchor: hook.After}, {Op: hook.OpPacketLost, Anchor: hook.After},
	}}
}
func (x *touchy) Attach(c hook.Conn, _ *hook.AttachState) error { x.conn = c; return nil }
func (x *touchy) Detach(hook.DetachReason)                      {}
func (x *touchy) Usage() hook.Usage                             { return hook.Usage{Calls: x.calls, Fuel: 3 * x.calls} }
func (x *touchy) RTTSampled(hook.Instant, uint8, *hook.RTT, time.Duration) {
	x.calls++
}

func (x *touchy) PacketLost(p *hook.PacketFate) {
	if x.calls++; p.Packet%2 == 1 {
		x.conn.Fault(errTouched)
	}
}

func TestAFaultIsFoundAndFoundAgainWithItsSeed(t *testing.T) {
	made := 0
	s := drive.Subject{New: func() (hook.Extension, error) {
		if made++; made > 1 {
			return nil, errors.New("enough")
		}
		return new(touchy), nil
	}}
	look := func(seed uint64) drive.Failure {
		t.Helper()
		made = 0
		r, err := drive.Fuzz(context.Background(), s, drive.FuzzOptions{Seed: seed, Time: time.Minute})
		if err != nil || len(r.Failures) != 1 {
			t.Fatalf("report %+v, error %v, want one failure", r, err)
		}
		return r.Failures[0]
	}
	f := look(11)
	if f.Op != hook.OpPacketLost || !errors.Is(f.Err, errTouched) || f.Seed != 11 || f.Call == 0 || !strings.Contains(f.Told, "Packet:") {
		t.Errorf("failure %+v", f)
	}
	if again := look(f.Seed); again != f {
		t.Errorf("with the same seed %+v, want %+v", again, f)
	}
}

func TestWhatCannotBeAttachedIsSaid(t *testing.T) {
	refuse := errors.New("not today")
	s := drive.Subject{New: func() (hook.Extension, error) { return nil, refuse }}
	if _, err := drive.Bench(t.Context(), s); !errors.Is(err, refuse) {
		t.Errorf("Bench: %v", err)
	}
	if _, err := drive.Fuzz(t.Context(), s, drive.FuzzOptions{}); !errors.Is(err, refuse) {
		t.Errorf("Fuzz: %v", err)
	}
}
