package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/seed51309289/quiver/interop"
	"github.com/seed51309289/quiver/netsim"
	"github.com/seed51309289/quiver/plugin"
	"github.com/seed51309289/quiver/plugin/lab"
	"github.com/spf13/cobra"
)

const pluginTestLong = `Run transfers over simulated networks on a virtual clock, without and with the plugin at the ends
that its manifest names, and compare: an hour of transfers takes seconds. The same packets are
lost in both, and the same seed gives the same numbers.

A SCENARIO is one argument, a name and parameters that change it, as in
'loss-5 --size=10kB,50kB --loss=3'. The names:
`

const pluginTestExample = `  quiver plugin test mine.wasm
  quiver plugin test mine.wasm --scenario loss-5 --repeat 20 --assert 'p95 < plain' --assert 'fuel.max < 5000'
  quiver plugin test cc-copa --scenario bufferbloat --vs cubic --plot queue.svg`

// labOptions are the flags of test as given.
type labOptions struct {
	scenarios, asserts, settings []string
	seed                         uint64
	repeat                       int
	vs, plot                     string
}

func newPluginTest() *cobra.Command {
	var o labOptions
	cmd := &cobra.Command{
		Use:               "test FILE.wasm",
		Short:             "Try a plugin over simulated networks on a virtual clock",
		Long:              pluginTestLong + scenariosOfLab() + "\n" + assertionHelp() + pluginTestEnd,
		Example:           pluginTestExample,
		Args:              wantArgs("FILE.wasm"),
		ValidArgsFunction: completePlugin,
		RunE:              func(cmd *cobra.Command, args []string) error { return testPlugin(cmd, &o, args[0]) },
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringArrayVar(&o.scenarios, "scenario", []string{"clean", "loss-5", "bufferbloat"}, "network and transfers as a `SCENARIO`; repeatable")
	f.StringArrayVar(&o.asserts, "assert", nil, "fail unless `EXPR` holds in every scenario; repeatable")
	f.StringVar(&o.vs, "vs", "plain", "compare with `WHAT`: plain, "+strings.Join(congestionControllers, ", ")+", or another FILE.wasm")
	f.IntVar(&o.repeat, "repeat", 0, "`N` repetitions of each scenario, each with another seed (default 1, or what the scenario says)")
	f.Uint64Var(&o.seed, "seed", 0, "decide every random choice by `N` (default what the scenario says, or 1)")
	f.StringArrayVar(&o.settings, "set", nil, "setting of the plugin as `NAME=VALUE`; repeatable")
	f.StringVar(&o.plot, "plot", "", "write `FILE`.svg of the one scenario: windows and delays over time, or with repetitions the completion times")
	return cmd
}

const pluginTestEnd = `
stdout has a table for each scenario. Exit status: 0 all is well, 1 an assertion failed, a
transfer did, or the plugin, 2 wrong usage.`

func scenariosOfLab() string {
	var b strings.Builder
	for _, s := range lab.Named() {
		fmt.Fprintf(&b, "  %-12s  %s\n", s.Name, s.Text)
	}
	b.WriteString("and those of 'quiver interop list scenarios'. The parameters of transfers:\n")
	for _, p := range lab.Parameters() {
		fmt.Fprintf(&b, "  %-18s  %s\n", p[0], p[1])
	}
	return b.String()
}

func assertionHelp() string {
	var b strings.Builder
	b.WriteString(`An EXPR compares measures and quantities, as in 'p95 < 400ms', 'goodput >= 0.9 * plain'; plain is
what --vs names, and plain.NAME a measure of it. The measures:
`)
	for _, m := range lab.Measures() {
		fmt.Fprintf(&b, "  %-14s  %s\n", m.Name, m.Text)
	}
	b.WriteString("  pNN, metric.NAME  the NN-th percentile of the completion times, and a number that the plugin keeps\n")
	return b.String()
}

func testPlugin(cmd *cobra.Command, o *labOptions, arg string) error {
	scenarios, asserts, err := o.parse()
	if err != nil {
		return usage(cmd, err)
	}
	plain, with, err := o.setups(cmd, arg)
	if err != nil {
		return err
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "Testing %s against %s\n", with.Name, plain.Title())
	tell, end := newCounter(cmd.ErrOrStderr(), "transfers")
	c, err := lab.Compare(cmd.Context(), scenarios, plain, with, lab.Options{Progress: tell})
	end()
	if err != nil {
		return err
	}
	failed, err := reportComparison(cmd.OutOrStdout(), c, asserts)
	if err != nil {
		return err
	}
	if o.plot != "" {
		if err := o.draw(&c.Pairs[0]); err != nil {
			return err
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "Wrote %s\n", o.plot)
	}
	switch failed {
	case 0:
		return nil
	case 1:
		return errors.New("one check failed")
	}
	return fmt.Errorf("%d checks failed", failed)
}

// parse reads scenarios and assertions. Every error is the user's.
func (o *labOptions) parse() (scenarios []*lab.Scenario, asserts []*lab.Assertion, err error) {
	if o.plot != "" && len(o.scenarios) != 1 {
		return nil, nil, fmt.Errorf("--plot is of one scenario, not of %d: name one with --scenario", len(o.scenarios))
	}
	if o.repeat < 0 {
		return nil, nil, fmt.Errorf("--repeat %d, want 1 or more", o.repeat)
	}
	for _, text := range o.scenarios {
		s, err := lab.ParseScenario(text)
		if err != nil {
			return nil, nil, err
		}
		if o.seed > 0 {
			s.Seed = o.seed
		}
		if o.repeat > 0 {
			s.Repeat = o.repeat
		}
		if s.Sample == 0 {
			s.Sample = 10 * time.Millisecond // for the mean of round-trip times, and the plot
		}
		scenarios = append(scenarios, s)
	}
	for _, text := range o.asserts {
		a, err := lab.ParseAssertion(text)
		if wrong, ok := errors.AsType[*lab.AssertionError](err); ok {
			return nil, nil, fmt.Errorf("--assert: %w\n%s", wrong, wrong.Caret())
		}
		asserts = append(asserts, a)
	}
	return scenarios, asserts, nil
}

// setups returns what is compared.
func (o *labOptions) setups(cmd *cobra.Command, arg string) (plain, with lab.Setup, err error) {
	if with, err = pluginSetup(cmd, arg, o.settings); err != nil {
		return plain, with, err
	}
	switch {
	case o.vs == "plain":
	case slices.Contains(congestionControllers, o.vs):
		plain = lab.Setup{Name: o.vs, Client: lab.End{Congestion: o.vs}, Server: lab.End{Congestion: o.vs}}
	default:
		if plain, err = pluginSetup(cmd, o.vs, nil); err != nil {
			return plain, with, err
		}
		if plain.Name == with.Name {
			plain.Name += " (" + o.vs + ")"
		}
	}
	return plain, with, nil
}

// pluginSetup attaches a plugin to the ends that its manifest names.
func pluginSetup(cmd *cobra.Command, arg string, settings []string) (lab.Setup, error) {
	m, err := loadPlugin(cmd.Context(), arg)
	if err != nil {
		return lab.Setup{}, err
	}
	values, err := parseSettings(settings)
	if err != nil {
		return lab.Setup{}, usage(cmd, err)
	}
	config, err := m.Manifest().Configure(values)
	if err != nil {
		return lab.Setup{}, err
	}
	end := lab.End{Extensions: []lab.Extension{{New: m.New, Config: config}}}
	s := lab.Setup{Name: nameOf(m)}
	if m.Manifest().Roles.Has(false) {
		s.Client = end
	}
	if m.Manifest().Roles.Has(true) {
		s.Server = end
	}
	return s, nil
}

// nameOf returns the last part of a plugin's id.
func nameOf(m *plugin.Module) string {
	id := m.Manifest().ID
	return id[strings.LastIndexByte(id, '.')+1:]
}

func parseSettings(list []string) (map[string]string, error) {
	values := map[string]string{}
	for _, s := range list {
		name, value, ok := strings.Cut(s, "=")
		if !ok {
			return nil, fmt.Errorf("%q is no setting, want NAME=VALUE", s)
		}
		values[name] = value
	}
	return values, nil
}

// reportComparison prints a table for each scenario, and how the checks went. It returns how many failed.
func reportComparison(w io.Writer, c *lab.Comparison, asserts []*lab.Assertion) (failed int, err error) {
	for i := range c.Pairs {
		p := &c.Pairs[i]
		fmt.Fprintf(w, "%s: %s\n", p.Scenario.Name, p.Scenario)
		if err := lab.WriteResults(w, p.A, p.B); err != nil {
			return failed, err
		}
		for _, o := range outcomes(p, asserts) {
			mark := "ok  "
			if !o.Pass {
				mark = "FAIL"
				failed++
			}
			fmt.Fprintf(w, "%s  %s\n", mark, o.Text)
		}
		fmt.Fprintln(w)
	}
	return failed, nil
}

// outcomes are those of the assertions, and of what is always expected.
func outcomes(p *lab.Pair, asserts []*lab.Assertion) []lab.Outcome {
	var list []lab.Outcome
	for _, a := range asserts {
		list = append(list, a.Check(p.B, p.A))
	}
	if err := p.B.FirstError(); err != nil {
		list = append(list, lab.Outcome{Text: "a transfer failed: " + err.Error()})
	}
	if err := p.B.FirstFault(); err != nil {
		list = append(list, lab.Outcome{Text: "the plugin was detached: " + err.Error()})
	}
	return list
}

// draw writes a plot of one scenario.
func (o *labOptions) draw(p *lab.Pair) error {
	var svg strings.Builder
	title := fmt.Sprintf("%s, seed %d", p.Scenario.Name, p.Scenario.Seed)
	var err error
	if p.Scenario.Repeat > 1 {
		err = lab.PlotTimes(&svg, title, p.A, p.B)
	} else {
		err = lab.PlotSeries(&svg, title, trace(p.A), trace(p.B))
	}
	if err != nil {
		return err
	}
	return interop.WriteFileAtomic(o.plot, []byte(svg.String()))
}

func trace(r *lab.Result) lab.Trace { return lab.Trace{Name: r.Setup, Series: r.Repetitions[0].Series} }

// completeLabScenario completes the name of a scenario.
func completeLabScenario(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	var names []cobra.Completion
	for _, s := range lab.Named() {
		names = append(names, cobra.CompletionWithDesc(s.Name, s.Text))
	}
	for _, s := range netsim.Scenarios() {
		names = append(names, cobra.CompletionWithDesc(s.Name, s.Text))
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
