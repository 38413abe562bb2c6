package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// step is one block of commands in the tutorial, and what the page shows of their output.
type step struct {
	commands []string
	shown    []string
	needs    string // a tool
	serves   bool   // the command goes on until it is stopped
}

// tutorial reads the steps of a page: "sh" blocks, each with the "text" block that follows it.
func tutorial(t *testing.T, path string) []step {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var steps []step
	for _, m := range regexp.MustCompile("(?ms)^```(sh|sh c|sh serve|text)\n(.*?)^```$").FindAllStringSubmatch(string(text), -1) {
		lines := strings.Split(strings.TrimSuffix(m[2], "\n"), "\n")
		switch {
		case m[1] == "text" && len(steps) > 0:
			steps[len(steps)-1].shown = lines
		case m[1] == "sh c":
			steps = append(steps, step{commands: lines, needs: "clang"})
		default:
			steps = append(steps, step{commands: lines, serves: m[1] == "sh serve"})
		}
	}
	return steps
}

// figures matches what a run may change about a line without making the page wrong: numbers with their units, digests, and how columns stand.
var figures = regexp.MustCompile(`[0-9a-f]{16,}|[-+]?[0-9]+(\.[0-9]+)*[A-Za-z%µ]*(/s)?`)

func masked(line string) string {
	return figures.ReplaceAllString(strings.Join(strings.Fields(line), " "), "#")
}

// shell runs one line of the page.
func shell(t *testing.T, line string) string {
	t.Helper()
	if strings.HasPrefix(line, "quiver ") {
		code, out, said := quiver(t, words(line)[1:]...)
		if code != exitDone {
			t.Fatalf("%s: exit status %d\n%s%s", line, code, out, said)
		}
		return out
	}
	out, err := exec.Command("sh", "-c", line).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
	return string(out)
}

func TestEveryCommandOfTheTutorialDoesWhatItSays(t *testing.T) {
	steps := tutorial(t, "../../docs/plugin-tutorial.md")
	if len(steps) < 10 {
		t.Fatalf("%d steps found, want more: the test looks for the wrong lines", len(steps))
	}
	docs, err := filepath.Abs("../../docs")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	for _, s := range steps {
		if _, err := exec.LookPath("clang"); s.needs != "" && err != nil {
			if _, err := exec.LookPath("clang-19"); err != nil {
				t.Logf("%s is not here: left out %q", s.needs, s.commands)
				continue
			}
		}
		if s.serves {
			serveAndFetch(t, s.commands[0])
			continue
		}
		out := ""
		for _, line := range s.commands {
			out += shell(t, line)
		}
		have := map[string]bool{}
		for line := range strings.Lines(out) {
			have[masked(line)] = true
		}
		for _, line := range s.shown {
			if !have[masked(line)] {
				t.Errorf("%s: the page shows\n%s\nwhich is not in\n%s", s.commands[len(s.commands)-1], line, out)
			}
		}
	}
	samePlot(t, "sawtooth.svg", filepath.Join(docs, "plugin-tutorial.svg"))
	samePlot(t, "changed.svg", filepath.Join(docs, "plugin-tutorial-changed.svg"))
}

// serveAndFetch starts a server as the page does, but for its port, and fetches a file as the page says.
func serveAndFetch(t *testing.T, line string) {
	t.Helper()
	pin, base := startServer(t, words(line)[2:]...)
	code, out, said := quiver(t, append(append([]string{"client", "-o", "-"}, pin...), base+"mine/plugin.wat")...)
	if code != exitDone || !strings.HasPrefix(out, ";; A congestion controller") {
		t.Errorf("%s: the client exits with %d\n%s%s", line, code, out, said)
	}
}

// samePlot compares a plot of the page with the one that the page's commands made; -update keeps it.
func samePlot(t *testing.T, name, page string) {
	t.Helper()
	made, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(page, made, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	// Whatever changes a time by a microsecond changes the curves, and the page stays right.
	names := regexp.MustCompile(`>[a-z][^<]*</t(itle|ext)>`)
	if got, want := names.FindAllString(string(made), -1), names.FindAllString(string(kept), -1); len(got) == 0 || !slices.Equal(got, want) {
		t.Errorf("the names in the plot are %q, those in %s %q: run go test ./cmd/quiver -run Tutorial -update", got, page, want)
	}
}
