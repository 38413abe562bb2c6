package main

import (
	"os"
	"strings"
	"testing"
)

// end is how a program is run: by quiver run with these flags, or "" for plainly.
type end string

// command is what starts program at that end.
func (e end) command(quiver, program string) []string {
	if e == "" {
		return []string{program}
	}
	return append(append([]string{quiver, "run"}, strings.Fields(string(e))...), "--", program)
}

// arrangements are ways to have quiver between the asker and the counterpart.
var arrangements = []struct {
	name       string
	world      func(*testing.T) *world
	serve, ask end
}{
	{"loopback inside", loopbackWorld, "--mode inside", "--mode inside"},
	{"loopback outside", loopbackWorld, "--mode outside", "--mode outside"},
	{"veth inside", vethWorld, "--mode inside", "--mode inside"},
	{"veth outside", vethWorld, "--mode outside", "--mode outside"},
	{"veth inside asks outside", vethWorld, "--mode outside", "--mode inside"},
	{"veth outside asks inside", vethWorld, "--mode inside", "--mode outside"},
	{"veth inside asks plain TCP", vethWorld, "", "--mode inside --fallback tcp"},
	{"veth plain TCP asks inside", vethWorld, "--mode inside --fallback tcp", ""},
}

// TestProbeUnderQuiverRunSaysWhatPlainTCPSays asks with quiver run at one end or
// both. What may differ is in testdata.
func TestProbeUnderQuiverRunSaysWhatPlainTCPSays(t *testing.T) {
	whole(t)
	for _, a := range arrangements {
		t.Run(strings.ReplaceAll(a.name, " ", "-"), func(t *testing.T) {
			if !enterNamespace(t) {
				return
			}
			dir := t.TempDir()
			for _, v := range []string{"QUIVER_STATE_DIR", "QUIVER_RUNTIME_DIR"} {
				t.Setenv(v, dir+"/"+v)
				fatal(t, os.Mkdir(dir+"/"+v, 0o700))
			}
			quiver, inGo, inC := build(t, "../../cmd/quiver"), build(t, "."), compile(t, false)
			w := a.world(t)
			to := w.serve(t, a.serve.command(quiver, inGo)...)
			files := []string{permittedFile}
			if strings.Contains(string(a.ask), "outside") {
				files = append(files, "testdata/permitted_outside.txt")
			}
			if a.serve == "" || a.ask == "" {
				files = append(files, "testdata/permitted_fallback.txt")
			}
			var permitted []answer
			for _, f := range files {
				list, err := readFile(f)
				fatal(t, err)
				permitted = append(permitted, list...)
			}
			for _, program := range []string{inGo, inC} {
				ask := append(a.ask.command(quiver, program), "ask")
				got := w.ask(t, append(ask, to...)...)
				agreeAtLast(t, w, ask, to, got, permitted)
			}
		})
	}
}

// agreeAtLast holds answers against the golden file, and asks once more what
// differs and may not: see plainTCP.
func agreeAtLast(t *testing.T, w *world, ask, to []string, got, permitted []answer) {
	t.Helper()
	want, err := readFile(golden(w.name))
	fatal(t, err)
	var only []string
	for _, d := range compare(got, want, permitted) {
		if d.reason == "" {
			only = append(only, d.name)
			t.Logf("at first %s: %s", d.name, d.got)
		}
	}
	if only != nil {
		got = w.ask(t, append(append(ask, "--only", strings.Join(only, ",")), to...)...)
	}
	agree(t, w.name, got, permitted)
}
