package plugin_test

import (
	"testing"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/plugin"
)

func TestATrialTellsWhatAttachingTakes(t *testing.T) {
	r := runtime(t)
	took, err := load(t, r, build(t, "asker", asker), plugin.Policy{}).Try()
	if err != nil || took.Calls != 1 || took.Fuel == 0 || took.Memory == 0 || took.Faults != 0 {
		t.Errorf("%+v, %v", took, err)
	}
}

func TestStatsCountWhatConnectionsDid(t *testing.T) {
	r := runtime(t)
	m := load(t, r, build(t, "nop", nop), plugin.Policy{})
	for range 2 {
		x, _ := attached(t, m)
		sample(x)
		x.Detach(hook.DetachClosed)
	}
	all := r.Stats()
	if len(all) != 1 || all[0].ID != "org.example.test" || all[0].Connections != 2 || all[0].Calls != 6 || all[0].Idle != 1 || all[0].Users != 1 {
		t.Errorf("%+v, want 2 connections with attach, sample and detach each", all)
	}
}
