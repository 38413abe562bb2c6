package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// staticcheckVersion is pinned so that a new release fails no old commit.
const staticcheckVersion = "v0.8.2"

// step is one thing to check. What it writes is indented under its name.
type step struct {
	name string
	what string
	run  func(ctx context.Context, c *config, out io.Writer) error
}

var steps = []step{
	{"fmt", "gofmt over every Go file", runFmt},
	{"vet", "go vet ./...", runVet},
	{"arch", "layers, nevers and purity", runArch},
	{"staticcheck", "honnef.co/go/tools " + staticcheckVersion, runStaticcheck},
	{"test", "go test ./...", runTest},
	{"fuzz", "every fuzz target", runFuzz},
	{"deviates", "where the code leaves an RFC", runDeviates},
}

func stepNames(steps []step) []string {
	var names []string
	for _, s := range steps {
		names = append(names, s.name)
	}
	return names
}

func runVet(ctx context.Context, c *config, out io.Writer) error {
	return c.goCommand(ctx, out, "vet", "./...")
}

func runArch(ctx context.Context, c *config, out io.Writer) error {
	return c.goCommand(ctx, out, "test", "-count=1", ".")
}

func runStaticcheck(ctx context.Context, c *config, out io.Writer) error {
	return c.goCommand(ctx, out, "run", "honnef.co/go/tools/cmd/staticcheck@"+staticcheckVersion, "./...")
}

func runTest(ctx context.Context, c *config, out io.Writer) error {
	if c.short {
		return c.goCommand(ctx, out, "test", "-short", "./...")
	}
	return c.goCommand(ctx, out, "test", "-race", "./...")
}

// goCommand runs the go command in the module and shows what it says as it
// says it, but for the lines of packages that passed.
func (c *config) goCommand(ctx context.Context, out io.Writer, args ...string) error {
	lines := &indenter{w: out, hide: quiet}
	defer lines.flush()
	return c.command(ctx, lines, args...)
}

func (c *config) command(ctx context.Context, out io.Writer, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = c.root, out, out
	// An interrupt lets go test stop its children.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return fmt.Errorf("go %s: exit status %d", strings.Join(args, " "), exit.ExitCode())
	}
	return err
}

// quiet are the lines of go test that say nothing is wrong, and the downloads of a first run.
func quiet(line string) bool {
	return strings.HasPrefix(line, "ok  \t") || strings.HasSuffix(line, "[no test files]") || strings.HasPrefix(line, "go: downloading ")
}

// indenter writes whole lines, indented, but for those that hide hides.
type indenter struct {
	w    io.Writer
	hide func(line string) bool
	rest []byte
}

func (i *indenter) Write(b []byte) (int, error) {
	i.rest = append(i.rest, b...)
	for {
		line, rest, whole := bytes.Cut(i.rest, []byte("\n"))
		if !whole {
			return len(b), nil
		}
		i.rest = rest
		i.line(string(line))
	}
}

func (i *indenter) line(line string) {
	if i.hide == nil || !i.hide(line) {
		fmt.Fprintf(i.w, "    %s\n", line)
	}
}

// show writes text indented, but for the lines that hide hides.
func show(out io.Writer, text []byte, hide func(line string) bool) {
	lines := &indenter{w: out, hide: hide}
	_, _ = lines.Write(text)
	lines.flush()
}

// flush writes a last line that did not end.
func (i *indenter) flush() {
	if len(i.rest) > 0 {
		i.line(string(i.rest))
		i.rest = nil
	}
}
