package plugin_test

import (
	"testing"

	"github.com/seed51309289/quiver/plugin"
	"github.com/seed51309289/quiver/plugins"
)

func TestEveryShippedPluginLoads(t *testing.T) {
	names := plugins.Names()
	if len(names) == 0 {
		t.Fatal("no plugins")
	}
	engines(t, func(t *testing.T, r *plugin.Runtime) {
		for _, name := range names {
			b, err := plugins.File(name)
			if err != nil {
				t.Fatal(err)
			}
			m := load(t, r, b, plugin.Policy{})
			attached(t, m)
		}
	})
}
