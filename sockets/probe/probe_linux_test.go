package main

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/seed51309289/quiver/internal/need"
)

func golden(name string) string { return filepath.Join("testdata", "golden_"+name+".txt") }

const permittedFile = "testdata/permitted.txt"

// agree holds answers against the golden file of that world. Plain TCP may not differ at all.
func agree(t *testing.T, name string, got, permitted []answer) {
	t.Helper()
	want, err := readFile(golden(name))
	fatal(t, err)
	var text bytes.Buffer
	if bad := report(&text, compare(got, want, permitted)); bad > 0 {
		t.Errorf("%d of %d answers are not those of %s:\n%s", bad, len(got), golden(name), &text)
	} else if text.Len() > 0 {
		t.Logf("%s", &text)
	}
}

// writeGolden writes the union of what the programs answered, which must agree.
func writeGolden(t *testing.T, w *world, lists ...[]answer) {
	t.Helper()
	var all []answer
	for _, list := range lists {
		for _, a := range list {
			if strings.HasPrefix(a.text, leftOut) {
				t.Fatalf("%s: this machine cannot be asked all that the golden file has", a)
			}
		}
		var text bytes.Buffer
		if report(&text, slices.DeleteFunc(compare(list, all, nil), func(d difference) bool { return d.want == missing })) > 0 {
			t.Errorf("the programs do not agree:\n%s", &text)
		}
		have := index(all)
		for _, a := range list {
			if _, ok := have[a.name]; !ok {
				all = append(all, a)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b answer) int { return strings.Compare(a.name, b.name) })
	out := new(strings.Builder)
	fmt.Fprintf(out, "# What plain TCP answers over %s, in Go and in C.\n# Written by: %s=1 go test ./sockets/probe -run TestProbe -update\n\n", w.name, wholeVar)
	for _, a := range all {
		fmt.Fprintln(out, a)
	}
	fatal(t, os.WriteFile(golden(w.name), []byte(out.String()), 0o666))
}

// compile builds the program in C.
func compile(t *testing.T, static bool) string {
	t.Helper()
	gcc := need.Tool(t, "gcc")
	sources, err := filepath.Glob("c/*.c")
	fatal(t, err)
	out := filepath.Join(t.TempDir(), "probe-c")
	args := append([]string{"-O1", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-pthread", "-o", out}, sources...)
	if static {
		args = append([]string{"-static"}, args...)
	}
	// The linker warns that a static getaddrinfo may want libraries at run time.
	if text, err := exec.Command(gcc, args...).CombinedOutput(); err != nil {
		t.Fatalf("gcc: %v\n%s", err, text)
	}
	return out
}

// build builds a program of this module, static.
func build(t *testing.T, pkg string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "program")
	cmd := exec.Command("go", "build", "-o", out, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, text)
	}
	return out
}

// plainTCP asks over plain TCP, in both languages, and compares with the golden
// file. What differs is asked once more, since a machine that stops for a tenth
// of a second changes some answers of TCP too.
func plainTCP(t *testing.T, w *world, inGo, inC string) {
	to := w.serve(t, inGo)
	going := w.startAsking(t, append([]string{inGo, "ask", "--jobs", "4"}, to...)...)
	askedC := w.askParts(t, inC, to)
	asked := going.answers(t)
	if *update {
		writeGolden(t, w, asked, askedC)
	}
	agreeAtLast(t, w, []string{inGo, "ask"}, to, asked, nil)
	agreeAtLast(t, w, []string{inC, "ask"}, to, askedC, nil)
}

func TestProbeOverLoopbackSaysWhatPlainTCPSays(t *testing.T) {
	if enterNamespace(t) {
		plainTCP(t, loopbackWorld(t), self, compile(t, false))
	}
}

func TestProbeOverVethSaysWhatPlainTCPSays(t *testing.T) {
	whole(t)
	if enterNamespace(t) {
		plainTCP(t, vethWorld(t), self, compile(t, false))
	}
}

func TestProbeStaticallyLinkedSaysTheSame(t *testing.T) {
	whole(t)
	if enterNamespace(t) {
		w := loopbackWorld(t)
		inGo, inC := build(t, "."), compile(t, true)
		for range 2 {
			t.Run("run", func(t *testing.T) { plainTCP(t, w, inGo, inC) })
		}
	}
}

func TestGoldenFilesHaveTheQuestionsThatThereAre(t *testing.T) {
	inC := map[string]bool{}
	for _, path := range must(filepath.Glob("c/*.c")) {
		text, err := os.ReadFile(path)
		fatal(t, err)
		for _, m := range regexp.MustCompile(`(?m)^\t\{"([^" ]+)", \w+, \d+\},$`).FindAllStringSubmatch(string(text), -1) {
			inC[m[1]] = true
		}
	}
	asked := map[string]bool{}
	maps.Copy(asked, inC)
	both := 0
	for _, q := range questions() {
		if asked[q.name] {
			both++
		}
		asked[q.name] = true
	}
	if both < 90 {
		t.Errorf("%d questions are asked in both languages, want at least 90", both)
	}
	for _, name := range []string{"loopback", "veth"} {
		list, err := readFile(golden(name))
		fatal(t, err)
		have := index(list)
		if a, b := slices.Sorted(maps.Keys(have)), slices.Sorted(maps.Keys(asked)); !slices.Equal(a, b) {
			t.Errorf("%s has not the questions of the programs:\n%v\n%v", golden(name), a, b)
		}
	}
	for _, path := range must(filepath.Glob("testdata/permitted*.txt")) {
		permitted, err := readFile(path)
		fatal(t, err)
		for _, p := range permitted {
			if !asked[p.name] {
				t.Errorf("%s: %s is no question", path, p.name)
			}
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
