package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestCommandLine(t *testing.T) {
	for _, tc := range []struct {
		name string
		args []string
		want config
		err  string
	}{
		{name: "nothing", want: config{fuzztime: 30 * time.Second}},
		{name: "everything", args: []string{"-short", "-fuzztime", "5s", "-only", "fmt,vet"}, want: config{fuzztime: 5 * time.Second, short: true, only: []string{"fmt", "vet"}}},
		{name: "unknown step", args: []string{"-only", "lint"}, err: `no step "lint", want some of fmt, vet, arch, staticcheck, test, fuzz, deviates`},
		{name: "argument", args: []string{"./..."}, err: `argument "./...": want options only`},
		{name: "unknown option", args: []string{"-fast"}, err: "-fast"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := parse(tc.args, io.Discard)
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Errorf("error = %v, want one with %q", err, tc.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(filepath.Join(c.root, "go.mod")); err != nil {
				t.Errorf("root %s has no go.mod", c.root)
			}
			if c.fuzztime != tc.want.fuzztime || c.short != tc.want.short || !slices.Equal(c.only, tc.want.only) {
				t.Errorf("config = %+v, want %+v", *c, tc.want)
			}
		})
	}
}

func TestExitStatus(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if got := run(context.Background(), []string{"-only", "x"}, &stdout, &stderr); got != 2 || !strings.HasPrefix(stderr.String(), "check: error: ") || stdout.Len() != 0 {
		t.Errorf("bad command line: status %d, %q on stdout, %q on stderr, want 2 and an error", got, stdout.String(), stderr.String())
	}
	if got := run(context.Background(), []string{"-h"}, &stdout, &stderr); got != 0 {
		t.Errorf("help: status %d, want 0", got)
	}
}

func TestAllStepsRunAndTheSummaryNamesThoseThatFailed(t *testing.T) {
	var ran []string
	fake := func(name string, err error) step {
		return step{name, "does nothing", func(context.Context, *config, io.Writer) error { ran = append(ran, name); return err }}
	}
	three := []step{fake("one", nil), fake("two", errors.New("broken")), fake("three", nil)}
	for _, tc := range []struct {
		name    string
		only    []string
		ran     string
		status  int
		summary string
	}{
		{"all", nil, "one two three", 1, "1 of 3 steps failed in 0s: two\n"},
		{"those that pass", []string{"three", "one"}, "one three", 0, "2 of 2 steps passed in 0s\n"},
	} {
		ran = nil
		var out bytes.Buffer
		c := config{only: tc.only}
		if got := c.runSteps(context.Background(), three, &out); got != tc.status {
			t.Errorf("%s: status %d, want %d", tc.name, got, tc.status)
		}
		if got := strings.Join(ran, " "); got != tc.ran {
			t.Errorf("%s: ran %q, want %q", tc.name, got, tc.ran)
		}
		if !strings.HasSuffix(out.String(), tc.summary) {
			t.Errorf("%s: output %q, want it to end with %q", tc.name, out.String(), tc.summary)
		}
	}
}

func TestInterruptEndsTheSteps(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	var out bytes.Buffer
	c := config{}
	status := c.runSteps(ctx, []step{
		{"first", "", func(context.Context, *config, io.Writer) error { stop(); return nil }},
		{"second", "", func(context.Context, *config, io.Writer) error { t.Error("a step ran after the interrupt"); return nil }},
	}, &out)
	if status != 1 || !strings.Contains(out.String(), "interrupted") {
		t.Errorf("status %d, output %q, want 1 and a word of the interrupt", status, out.String())
	}
}

func TestFuzzTargetsAreReadFromTheListing(t *testing.T) {
	got := parseTargets("FuzzA\nFuzzB\nok  \texample.org/m/a\t0.004s\n?   \texample.org/m/b\t[no test files]\nok  \texample.org/m/c\t0.001s\nFuzzC\nok  \texample.org/m/d\t(cached)\n")
	want := []target{{"example.org/m/a", "FuzzA"}, {"example.org/m/a", "FuzzB"}, {"example.org/m/d", "FuzzC"}}
	if !slices.Equal(got, want) {
		t.Errorf("targets = %v, want %v", got, want)
	}
}

func TestFmtFindsFilesThatGofmtWouldChange(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("good.go", "package p\n")
	write("testdata/ugly.go", "package   p")
	write(".hidden/ugly.go", "package   p")
	c := config{root: dir}
	if err := runFmt(t.Context(), &c, io.Discard); err != nil {
		t.Errorf("formatted files: %v", err)
	}
	write("sub/ugly.go", "package   p\n")
	write("broken.go", "package\n")
	var out bytes.Buffer
	err := runFmt(t.Context(), &c, &out)
	if err == nil || err.Error() != "2 files are not formatted" || !strings.Contains(out.String(), "    sub/ugly.go: run gofmt -w sub/ugly.go\n") || !strings.Contains(out.String(), "    broken.go: ") {
		t.Errorf("error %v, output %q, want two files named", err, out.String())
	}
}

func TestDeviationsAreListedWhole(t *testing.T) {
	const mark = "// DEV" + "IATES " // not spelled out, or this file would be on the list
	got := deviations("package p\n\n" + mark + "RFC 9000 §1: what,\n// why.\n\n// another comment\nvar x = 1 " + mark + "RFC 9002 §2: at the end\nvar y = 2 // not of it\n")
	want := []deviation{{3, "RFC 9000 §1: what, why."}, {7, "RFC 9002 §2: at the end"}}
	if !slices.Equal(got, want) {
		t.Errorf("deviations = %v, want %v", got, want)
	}
}

func TestIndenterWritesWholeLinesAndHidesThoseThatPassed(t *testing.T) {
	var out bytes.Buffer
	i := &indenter{w: &out, hide: quiet}
	for _, part := range []string{"--- FAIL: Te", "stX\nok  \tm/a\t0.1s\n?   \tm/b\t[no test files]\nFA", "IL"} {
		if n, err := i.Write([]byte(part)); n != len(part) || err != nil {
			t.Fatalf("Write = %d, %v", n, err)
		}
	}
	i.flush()
	if want := "    --- FAIL: TestX\n    FAIL\n"; out.String() != want {
		t.Errorf("output %q, want %q", out.String(), want)
	}
}

func TestOnlyABareDeadlineIsNoFinding(t *testing.T) {
	for _, tc := range []struct {
		name, output string
		want         bool
	}{
		{"the end of the time", "fuzz: elapsed: 5s, execs: 261125 (50317/sec), new interesting: 1 (total: 27)\n" +
			"--- FAIL: FuzzX (5.08s)\n    context deadline exceeded\nFAIL\nexit status 1\nFAIL\tx\t5.088s\n", true},
		{"an input", "--- FAIL: FuzzX (5.08s)\n    --- FAIL: FuzzX (0.00s)\n        x_test.go:9: got 1, want 2\n    \n" +
			"    Failing input written to testdata/fuzz/FuzzX/1\nFAIL\n", false},
		{"a seed that misses its own deadline", "--- FAIL: FuzzX (0.01s)\n    --- FAIL: FuzzX/seed#0 (0.00s)\n" +
			"        x_test.go:9: context deadline exceeded\nFAIL\n", false},
		{"a package that does not build", "FAIL\tx [build failed]\n", false},
	} {
		if got := endedByDeadline(tc.output); got != tc.want {
			t.Errorf("%s: endedByDeadline = %v, want %v", tc.name, got, tc.want)
		}
	}
}
