package main

import (
	"bufio"
	"fmt"
	"strings"
	"time"

	"github.com/seed51309289/quiver/plugin/lab"
	"github.com/spf13/cobra"
)

// runOnce are the flags of plugin run as given.
type runOnce struct {
	scenario, get, plot string
	settings            []string
	seed                uint64
	quiet               bool
}

func newPluginRun() *cobra.Command {
	var o runOnce
	cmd := &cobra.Command{
		Use:   "run FILE.wasm",
		Short: "Watch a plugin at work between a client and a server in one process",
		Long: `Run a client and a server in this process over a simulated network, on a virtual clock, with the
plugin at the ends that its manifest names. stdout is a line for each packet when it arrives, or
when the network loses it, with the plugin's frames by name; lines for what a sender gave up
as lost and what the plugin recovered; and a table that compares with the same transfer
without the plugin, which loses the packets of the same numbers.

A SCENARIO is as for 'quiver plugin test'.`,
		Example: `  quiver plugin run fec --get 50kB
  quiver plugin run mine.wasm --scenario 'bufferbloat --size=1MB' --quiet --plot mine.svg`,
		Args:              wantArgs("FILE.wasm"),
		ValidArgsFunction: completePlugin,
		RunE:              func(cmd *cobra.Command, args []string) error { return runPlugin(cmd, &o, args[0]) },
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&o.get, "get", "", "fetch `SIZE`, as in 50kB (default what the scenario says)")
	f.StringVar(&o.scenario, "scenario", "loss-5", "network and transfers as a `SCENARIO`")
	f.Uint64Var(&o.seed, "seed", 0, "decide every random choice by `N` (default what the scenario says, or 1)")
	f.StringArrayVar(&o.settings, "set", nil, "setting of the plugin as `NAME=VALUE`; repeatable")
	f.StringVar(&o.plot, "plot", "", "write `FILE`.svg: windows and delays over time, with and without the plugin")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "no packets, only the table")
	return cmd
}

func runPlugin(cmd *cobra.Command, o *runOnce, arg string) error {
	s, err := o.parse()
	if err != nil {
		return usage(cmd, err)
	}
	setup, err := pluginSetup(cmd, arg, o.settings)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(cmd.OutOrStdout())
	fmt.Fprintf(out, "%s: %s\n", s.Name, s)
	log := packetLog{out, colourful(cmd.OutOrStdout())}
	tell := log.line
	if o.quiet {
		tell = func(*lab.PacketEvent) {}
	}
	with, err := lab.Follow(cmd.Context(), s, setup, tell)
	if err != nil {
		return err
	}
	plain, err := lab.Run(cmd.Context(), s, lab.Setup{})
	if err != nil {
		return err
	}
	if err := o.sum(out, plain, with); err != nil {
		return err
	}
	if o.plot != "" {
		p := &lab.Pair{Scenario: s, A: plain, B: with}
		if err := (&labOptions{plot: o.plot}).draw(p); err != nil {
			return err
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "Wrote %s\n", o.plot)
	}
	if err := with.FirstFault(); err != nil {
		return fmt.Errorf("the plugin was detached: %w", err)
	}
	return with.FirstError()
}

// parse reads the scenario. Every error is the user's.
func (o *runOnce) parse() (*lab.Scenario, error) {
	text := o.scenario
	if o.get != "" {
		text += " --size=" + o.get
	}
	s, err := lab.ParseScenario(text)
	if err != nil {
		return nil, err
	}
	s.Repeat = 1
	if o.seed > 0 {
		s.Seed = o.seed
	}
	if s.Sample == 0 {
		s.Sample = 10 * time.Millisecond
	}
	return s, nil
}

// sum writes the tables.
func (o *runOnce) sum(out *bufio.Writer, plain, with *lab.Result) error {
	fmt.Fprintln(out)
	if err := lab.WriteResults(out, plain, with); err != nil {
		return err
	}
	fmt.Fprintln(out)
	if err := lab.WriteExtensions(out, with); err != nil {
		return err
	}
	return out.Flush()
}

// packetLog writes packets as lines.
type packetLog struct {
	w      *bufio.Writer
	colour bool
}

// line writes what happened to a packet. On a terminal each line is seen at once.
func (l packetLog) line(e *lab.PacketEvent) {
	way := "C>S"
	if e.Server {
		way = "S>C"
	}
	at := fmt.Sprintf("%.1fms", float64(e.At)/1e6)
	switch e.Kind {
	case lab.PacketRecovered:
		end := map[bool]string{false: "client", true: "server"}[e.Server]
		l.print(true, "%9s  %s: %s recovered %d\n", at, end, e.ID[strings.LastIndexByte(e.ID, '.')+1:], e.Count)
	case lab.PacketGivenUp:
		l.print(false, "%9s  %s  %s given up as lost\n", at, way, e.Packet)
	default:
		mark := ""
		if e.Kind == lab.PacketDropped {
			mark = "  LOST"
		}
		l.print(e.Own, "%9s  %s  %-14s %s%s\n", at, way, e.Packet, strings.Join(e.Frames, " · "), mark)
	}
}

// print writes a line, in bold if it is about the plugin and there are colours.
func (l packetLog) print(own bool, format string, args ...any) {
	if l.colour && own {
		format = "\x1b[1m" + strings.TrimSuffix(format, "\n") + "\x1b[0m\n"
	}
	fmt.Fprintf(l.w, format, args...)
	if l.colour {
		l.w.Flush()
	}
}
