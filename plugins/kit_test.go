package plugins_test

import (
	"testing"

	"github.com/seed51309289/quiver/plugin/lab"
)

// extension returns what a lab attaches to try a plugin with these settings.
func extension(t testing.TB, name string, settings map[string]string) lab.Extension {
	t.Helper()
	m := load(t, name)
	config, err := m.Manifest().Configure(settings)
	if err != nil {
		t.Fatal(err)
	}
	return lab.Extension{New: m.New, Config: config}
}

// withPlugin is a Setup in which the server, which sends, has a plugin.
func withPlugin(t testing.TB, name string) lab.Setup {
	return lab.Setup{Name: name, Server: lab.End{Extensions: []lab.Extension{extension(t, name, nil)}}}
}

// withBuiltin is a Setup in which the server has a built-in controller.
func withBuiltin(name string) lab.Setup {
	return lab.Setup{Name: name, Server: lab.End{Congestion: name}}
}

func scenario(t testing.TB, text string) *lab.Scenario {
	t.Helper()
	s, err := lab.ParseScenario(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// compare carries scenarios out with both setups. Every transfer must end, and no plugin may.
func compare(t testing.TB, a, b lab.Setup, texts ...string) []lab.Pair {
	t.Helper()
	var list []*lab.Scenario
	for _, text := range texts {
		list = append(list, scenario(t, text))
	}
	c, err := lab.Compare(t.Context(), list, a, b, lab.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range c.Pairs {
		for _, r := range []*lab.Result{p.A, p.B} {
			if err := r.FirstError(); err != nil {
				t.Fatalf("%s, %s: %v", p.Scenario, r.Setup, err)
			}
			if err := r.FirstFault(); err != nil {
				t.Fatalf("%s, %s: %v", p.Scenario, r.Setup, err)
			}
		}
	}
	return c.Pairs
}

// measure returns a number of a result by its name.
func measure(t testing.TB, r *lab.Result, name string) float64 {
	t.Helper()
	m, ok := lab.FindMeasure(name)
	if !ok {
		t.Fatalf("no measure %q", name)
	}
	return m.Value(r)
}
