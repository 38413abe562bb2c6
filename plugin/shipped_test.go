package plugin_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/seed51309289/quiver/plugin"
)

func TestEveryShippedPluginLoads(t *testing.T) {
	files, err := filepath.Glob("../plugins/*/*.wasm")
	if err != nil || len(files) == 0 {
		t.Fatalf("no plugins: %v", err)
	}
	engines(t, func(t *testing.T, r *plugin.Runtime) {
		for _, name := range files {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			m := load(t, r, b, plugin.Policy{})
			attached(t, m)

		}
	})
}
