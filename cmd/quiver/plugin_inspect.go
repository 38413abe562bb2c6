package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/seed51309289/quiver/plugin"
	"github.com/seed51309289/quiver/plugin/inspect"
	"github.com/seed51309289/quiver/plugin/pack"
	"github.com/spf13/cobra"
)

func newPluginInspect() *cobra.Command {
	var trust trustFlag
	cmd := &cobra.Command{
		Use:   "inspect FILE.wasm",
		Short: "Say what a plugin may do, what it costs, and who vouches for it",
		Long: `Say all that can be said of a plugin, without a connection: identity, permissions, hooks, frames,
limits, settings, source, signatures, what the trust file makes of it, and for each function
what a call costs in fuel (docs/plugin-abi.md).

With --diff, FILE.wasm is compared with another version: permissions first. A line begins with
"+" if it is new, "-" if it is gone, "~" if it has changed.`,
		Example: `  quiver plugin inspect telemetry
  quiver plugin inspect mine.wasm --diff mine-1.0.wasm`,
		Args:              wantArgs("FILE.wasm"),
		ValidArgsFunction: completePlugin,
	}
	asJSON := cmd.Flags().Bool("json", false, "print JSON")
	other := cmd.Flags().String("diff", "", "say what has changed since the version in `FILE`")
	trust.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		t, err := trust.load()
		if err != nil {
			return err
		}
		facts, err := factsOf(cmd.Context(), args[0], t)
		if err != nil {
			return err
		}
		if *other == "" {
			return show(cmd, *asJSON, facts, func() error { return facts.Write(cmd.OutOrStdout()) })
		}
		old, err := factsOf(cmd.Context(), *other, t)
		if err != nil {
			return err
		}
		changes := inspect.Diff(old, facts)
		if len(changes) == 0 {
			changes = []inspect.Change{} // in JSON an empty list
			fmt.Fprintln(cmd.ErrOrStderr(), "They are the same.")
		}
		return show(cmd, *asJSON, changes, func() error { return inspect.WriteDiff(cmd.OutOrStdout(), changes) })
	}
	return cmd
}

// factsOf collects what the package says and its code shows, and has the host try it.
func factsOf(ctx context.Context, arg string, t *pack.Trust) (*inspect.Facts, error) {
	p, err := readPlugin(arg)
	if err != nil {
		return nil, err
	}
	facts, err := inspect.Of(p, t, time.Now())
	if err != nil {
		return nil, err
	}
	facts.Host, err = tryHere(ctx, p)
	return facts, err
}

// tryHere loads and attaches a plugin as one that the user named, and says what came of it.
func tryHere(ctx context.Context, p *pack.Package) (*inspect.Host, error) {
	m, err := plugin.Load(ctx, p.File, p.Raw, plugin.Policy{})
	if err != nil {
		return &inspect.Host{Refused: err.Error()}, nil
	}
	defer m.Close()
	took, err := m.Try()
	return &inspect.Host{Fuel: took.Fuel, Memory: took.Memory}, err
}

// show prints a value as JSON or with text.
func show(cmd *cobra.Command, asJSON bool, v any, text func() error) error {
	if !asJSON {
		return text()
	}
	e := json.NewEncoder(cmd.OutOrStdout())
	e.SetIndent("", "  ")
	return e.Encode(v)
}
