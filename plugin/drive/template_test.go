package drive_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/need"
	"github.com/seed51309289/quiver/plugin"
	"github.com/seed51309289/quiver/plugin/build"
	"github.com/seed51309289/quiver/plugin/drive"
	"github.com/seed51309289/quiver/plugin/lab"
	"github.com/seed51309289/quiver/plugin/sdk"
)

// What a newcomer begins with builds, loads, carries transfers without a fault, and is not broken by what connections may tell it.
func TestEveryTemplateIsAPluginThatWorks(t *testing.T) {
	for i := range sdk.Languages {
		l := &sdk.Languages[i]
		if l.Name == "assemblyscript" {
			continue // its compiler comes over the network
		}
		for _, kind := range l.Kinds() {
			t.Run(l.Name+" "+kind, func(t *testing.T) {
				if l.Name == "c" {
					need.Tool(t, "clang-19", "clang")
				}
				worksFromTheStart(t, l, kind)
			})
		}
	}
}

func worksFromTheStart(t *testing.T, l *sdk.Language, kind string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "mine")
	if _, err := sdk.Create(dir, l, kind, "org.example.mine"); err != nil {
		t.Fatal(err)
	}
	name, file, err := build.Dir(t.Context(), dir, build.Origin{}, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	m, err := plugin.Load(t.Context(), name, file, plugin.Policy{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	config, err := m.Manifest().Configure(nil)
	if err != nil {
		t.Fatal(err)
	}
	carries(t, m, config)
	s := drive.Subject{New: m.New, Config: config}
	if _, err := drive.Bench(t.Context(), s); err != nil {
		t.Error(err)
	}
	r, err := drive.Fuzz(t.Context(), s, drive.FuzzOptions{Seed: 1, Time: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.Failures {
		t.Errorf("seed %d, call %d, %v(%s): %v", f.Seed, f.Call, f.Op, f.Told, f.Err)
	}
}

// carries runs transfers both ways over a lossy path, with the plugin at both ends.
func carries(t *testing.T, m *plugin.Module, config []byte) {
	t.Helper()
	s, err := lab.ParseScenario("loss-5 --size=200kB --both --times=2 --repeat=3")
	if err != nil {
		t.Fatal(err)
	}
	x := lab.End{Extensions: []lab.Extension{{New: m.New, Config: config}}}
	r, err := lab.Run(t.Context(), s, lab.Setup{Name: "template", Client: x, Server: x})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.FirstFault(); err != nil {
		t.Error(err)
	}
	if err := r.FirstError(); err != nil {
		t.Error(err)
	}
	if calls, _ := lab.FindMeasure("calls"); calls.Value(r) < 50 {
		t.Errorf("called %v times in 3 repetitions", calls.Value(r))
	}
}
