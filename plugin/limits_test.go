package plugin_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/plugin"
	"github.com/seed51309289/quiver/plugin/pack"
)

func TestThePoolKeepsNoMoreInstancesThanItMay(t *testing.T) {
	m := load(t, runtime(t), build(t, "nop", nop), plugin.Policy{})
	var all []hook.Extension
	for range plugin.PoolSize + 5 {
		x, _ := attached(t, m)
		all = append(all, x)
	}
	for _, x := range all {
		x.Detach(hook.DetachClosed)
	}
	if n := plugin.Idle(m); n != plugin.PoolSize {
		t.Errorf("%d instances wait, want %d", n, plugin.PoolSize)
	}
}

func TestUnusedModulesAreKeptUpToABound(t *testing.T) {
	r := runtime(t)
	used := load(t, r, variant(t, 0), plugin.Policy{})
	for n := range plugin.MaxModules + 5 {
		m, err := r.Load(context.Background(), "test.wasm", variant(t, n+1), plugin.Policy{})
		if err != nil {
			t.Fatal(err)
		}
		m.Close()
	}
	modules, unused, _ := plugin.Kept(r)
	if unused != plugin.MaxModules || modules != plugin.MaxModules+1 {
		t.Errorf("%d modules, %d of them unused, want %d and one that is used", modules, unused, plugin.MaxModules)
	}
	if _, err := used.New(); err != nil {
		t.Errorf("the one in use: %v", err)
	}
}

func TestAFailureIsRememberedLongerThanPluginsThatNeverFailed(t *testing.T) {
	r := runtime(t)
	bad := build(t, "nop", nop)
	k, err := pack.Read("nop", bad, 0)
	if err != nil {
		t.Fatal(err)
	}
	plugin.Remember(r, k.Digest, plugin.MaxFaults)
	for n := range plugin.MaxRecords + 10 {
		var d pack.Digest
		binary.BigEndian.PutUint64(d[:], uint64(n))
		plugin.Remember(r, d, 0)
	}
	if _, _, n := plugin.Kept(r); n != plugin.MaxRecords {
		t.Errorf("%d records, want %d", n, plugin.MaxRecords)
	}
	if _, err := load(t, r, bad, plugin.Policy{}).New(); !errors.Is(err, plugin.ErrQuarantined) {
		t.Errorf("New = %v, want ErrQuarantined: it failed %d times", err, plugin.MaxFaults)
	}
}

// variant returns a plugin that differs from its sisters in the version.
func variant(t testing.TB, n int) []byte {
	t.Helper()
	return build(t, "variant", strings.Replace(nop, "(module", fmt.Sprintf(";;! {\"version\": \"1.0.%d\"}\n(module", n), 1))
}
