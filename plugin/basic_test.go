package plugin_test

import (
	"testing"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/plugin"
)

func TestAPluginIsLoadedAttachedCalledAndDetached(t *testing.T) {
	engines(t, func(t *testing.T, r *plugin.Runtime) {
		m := load(t, r, build(t, "nop", nop), plugin.Policy{})
		x, c := attached(t, m)
		for range 10 {
			x.(hook.RTTSamples).RTTSampled(start, 0, &hook.RTT{}, 0)
		}
		u := x.(hook.Meter).Usage()
		if u.Calls != 11 || u.Faults != 0 || u.Fuel == 0 || u.Memory != 65536 {
			t.Errorf("usage %+v, want 11 calls without fault, some fuel, and one page", u)
		}
		x.Detach(hook.DetachAsked)
		if len(c.faults) > 0 {
			t.Error(c.faults)
		}
		x.(hook.RTTSamples).RTTSampled(start, 0, &hook.RTT{}, 0) // as if the connection had forgotten
	})
}
