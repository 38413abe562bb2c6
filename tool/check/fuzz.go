package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"regexp"
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
	// Few steps of minimizing: an interesting input, too, is minimized, for a
	// minute if nobody says less, and that would be the whole time.
	err := c.command(ctx, &said, "test", "-run", "^$", "-fuzz", "^"+t.name+"$", "-fuzzminimizetime", "10x",
		"-fuzztime", c.fuzztime.Round(time.Second).String(), t.pkg)
	if err != nil && ctx.Err() == nil && endedByDeadline(said.String()) {
		fmt.Fprintln(out, "         stopped in the middle of an input when its time was up (golang/go#75804); nothing was found")
		return nil
	}
	if err != nil {
		show(out, said.Bytes(), nil)
	}
	return err
}

// bareDeadline is what go test prints for a target that found nothing, when
// its time runs out in an unlucky moment. Go 1.27 no longer does.
var bareDeadline = regexp.MustCompile(`(?m)^--- FAIL: Fuzz\w+ \([0-9.]+s\)\n\s+context deadline exceeded\nFAIL$`)

// endedByDeadline tells go's own mistake at the end of -fuzztime from a finding,
// which always comes with an input or a message of the target.
func endedByDeadline(output string) bool {
	return bareDeadline.MatchString(output) && !strings.Contains(output, "Failing input")
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
