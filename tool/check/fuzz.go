package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"time"
)

// target is one fuzz target.
type target struct{ pkg, name string }

// runFuzz runs every target that the packages list, one after another, since
// each uses all cores.
func runFuzz(ctx context.Context, c *config, out io.Writer) error {
	if c.short {
		fmt.Fprintln(out, "    left out by -short")
		return nil
	}
	var listing bytes.Buffer
	// A package that does not build must not keep the others from being fuzzed.
	listed := c.command(ctx, &listing, "test", "-list", "^Fuzz", "./...")
	if listed != nil {
		show(out, listing.Bytes(), func(line string) bool { return quiet(line) || strings.HasPrefix(line, "Fuzz") })
	}
	targets := parseTargets(listing.String())
	var failed []string
	for i, t := range targets {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		fmt.Fprintf(out, "    %d/%d %s %s\n", i+1, len(targets), t.pkg, t.name)
		if err := c.fuzz(ctx, t, out); err != nil {
			failed = append(failed, t.name)
		}
	}
	if len(failed) > 0 {
		return fmt.Errorf("%d of %d targets failed: %s", len(failed), len(targets), strings.Join(failed, ", "))
	}
	return listed
}

// fuzz runs one target and shows its output if it fails; the input that made
// it fail is then in the target's testdata, and go test runs it from now on.
func (c *config) fuzz(ctx context.Context, t target, out io.Writer) error {
	var said bytes.Buffer
	err := c.command(ctx, &said, "test", "-run", "^$", "-fuzz", "^"+t.name+"$", "-fuzztime", c.fuzztime.Round(time.Second).String(), t.pkg)
	if err != nil {
		show(out, said.Bytes(), nil)
	}
	return err
}

// parseTargets reads what go test -list prints: names, and then the line of
// the package that they are in.
func parseTargets(listing string) []target {
	var out []target
	var names []string
	for line := range strings.Lines(listing) {
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(line, "Fuzz") {
			names = append(names, line)
			continue
		}
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != "ok" {
			continue
		}
		for _, name := range names {
			out = append(out, target{fields[1], name})
		}
		names = nil
	}
	return out
}
