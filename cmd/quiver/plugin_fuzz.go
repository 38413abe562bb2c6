package main

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/seed51309289/quiver/plugin/drive"
	"github.com/spf13/cobra"
)

func newPluginFuzz() *cobra.Command {
	var o driveOptions
	cmd := &cobra.Command{
		Use:   "fuzz FILE.wasm",
		Short: "Look for inputs that break a plugin",
		Long: `Call the hooks of a plugin in any order, with anything that a connection might tell it. A plugin
that traps, answers nonsense or runs out of fuel is detached from its connection, so none of
that should happen. A failure is printed with the seed that finds it again at once.

Exit status: 0 nothing was found, 1 something was.`,
		Example: `  quiver plugin fuzz mine.wasm --time 1m
  quiver plugin fuzz mine.wasm --seed 4711      a failure again`,
		Args:              wantArgs("FILE.wasm"),
		ValidArgsFunction: completePlugin,
	}
	f := cmd.Flags()
	f.SortFlags = false
	long := f.Duration("time", 10*time.Second, "look for so `LONG`")
	seed := f.Uint64("seed", 0, "begin with seed `N` (default a fresh one, printed)")
	o.addFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !cmd.Flags().Changed("seed") {
			*seed = uint64(rand.Uint32()) // short enough to type again
		}
		s, m, err := o.subject(cmd, args[0])
		if err != nil {
			return err
		}
		defer m.Close()
		return fuzzPlugin(cmd, s, drive.FuzzOptions{Seed: *seed, Time: *long})
	}
	return cmd
}

func fuzzPlugin(cmd *cobra.Command, s drive.Subject, o drive.FuzzOptions) error {
	talk, out := cmd.ErrOrStderr(), cmd.OutOrStdout()
	fmt.Fprintf(talk, "Looking for %v, seed %d\n", o.Time, o.Seed)
	tell, end := newCounter(talk, "seconds")
	second := time.Duration(0)
	o.Progress = func(elapsed time.Duration, _ int) {
		if elapsed >= second {
			second = elapsed.Truncate(time.Second) + time.Second
			tell(int(elapsed.Seconds()), max(int(o.Time.Seconds()), 1))
		}
	}
	r, err := drive.Fuzz(cmd.Context(), s, o)
	end()
	if err != nil {
		return err
	}
	if err := printCosts(out, r.Costs, false); err != nil {
		return err
	}
	for _, f := range r.Failures {
		fmt.Fprintf(out, "FAIL  seed %d, call %d: %v\n      %s was told %s\n", f.Seed, f.Call, f.Err, f.Op, f.Told)
	}
	fmt.Fprintf(talk, "%d calls of %d instances\n", r.Calls, r.Episodes)
	if n := len(r.Failures); n > 0 {
		return &status{exitFailed, fmt.Errorf("%d failures found", n), fmt.Sprintf("the first again: --seed %d", r.Failures[0].Seed)}
	}
	return nil
}
