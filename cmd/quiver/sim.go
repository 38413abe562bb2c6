package main

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/seed51309289/quiver/netsim"
	"github.com/spf13/cobra"
)

// simOptions are the flags of sim as given.
type simOptions struct {
	udp, pcap string
	seed      uint64
}

func newSim() *cobra.Command {
	var o simOptions
	cmd := &cobra.Command{
		Use:   "sim SCENARIO --udp LISTEN=TARGET",
		Short: "Put a simulated network in front of a UDP server",
		Long: `Relay UDP between clients that send to LISTEN and the server at TARGET through a simulated
network, in real time, until interrupted. SCENARIO is one argument, the name and its
parameters:
` + scenarioNames() + `
'quiver interop list scenarios' lists the parameters of each.

Every random choice comes from the seed: the same seed drops the same packets. What happened
goes to stdout at the end, everything else to stderr.`,
		Example: `  quiver sim 'simple-p2p --delay=15ms --bandwidth=10Mbps --queue=25' --udp localhost:4434=localhost:4433
  quiver sim 'drop-rate --delay=15ms --bandwidth=10Mbps --queue=25 --rate_to_client=5 --rate_to_server=5' \
      --udp localhost:4434=localhost:4433 --seed 7 --pcap traces`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage(cmd, fmt.Errorf("%d arguments, want one scenario, with its parameters in the same quotes", len(args)))
			}
			return nil
		},
		ValidArgsFunction: completeScenario,
		RunE:              func(cmd *cobra.Command, args []string) error { return runSim(cmd, &o, args[0]) },
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&o.udp, "udp", "", "relay from address LISTEN to address TARGET, `LISTEN=TARGET`")
	f.Uint64Var(&o.seed, "seed", 0, "decide every random choice by `N` (default a fresh one, printed)")
	f.StringVar(&o.pcap, "pcap", "", "write trace_node_left.pcap and trace_node_right.pcap to `DIR`")
	return cmd
}

// scenarioNames lists what there is, for the help.
func scenarioNames() string {
	var b strings.Builder
	for _, s := range netsim.Scenarios() {
		fmt.Fprintf(&b, "  %-12s  %s\n", s.Name, s.Text)
	}
	return b.String()
}

func completeScenario(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	var names []cobra.Completion
	for _, s := range netsim.Scenarios() {
		names = append(names, cobra.CompletionWithDesc(s.Name, s.Text))
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

func runSim(cmd *cobra.Command, o *simOptions, scenario string) error {
	cfg, err := o.config(scenario)
	if err != nil {
		return usage(cmd, err)
	}
	if !cmd.Flags().Changed("seed") {
		cfg.Seed = uint64(rand.Uint32()) // short enough to type again
	}
	if o.pcap != "" {
		if err := os.MkdirAll(o.pcap, 0o777); err != nil {
			return err
		}
		cfg.LeftTrace = filepath.Join(o.pcap, "trace_node_left.pcap")
		cfg.RightTrace = filepath.Join(o.pcap, "trace_node_right.pcap")
	}
	talk := cmd.ErrOrStderr()
	cfg.Ready = func(at netip.AddrPort) {
		fmt.Fprintf(talk, "Relaying from %s to %s, seed %d\n", at, cfg.Target, cfg.Seed)
	}
	stats, err := netsim.RunUDP(cmd.Context(), cfg)
	printLink(cmd.OutOrStdout(), "to server", &stats.ToServer)
	printLink(cmd.OutOrStdout(), "to client", &stats.ToClient)
	return err
}

// config turns the options into a configuration. Every error is the user's.
func (o *simOptions) config(scenario string) (cfg netsim.UDPConfig, err error) {
	if cfg.Scenario, err = netsim.ParseScenario(scenario); err != nil {
		return cfg, err
	}
	listen, target, ok := strings.Cut(o.udp, "=")
	if !ok {
		return cfg, fmt.Errorf("--udp %q, want LISTEN=TARGET such as localhost:4434=localhost:4433", o.udp)
	}
	cfg.Seed = o.seed
	var errs [2]error
	cfg.Listen, errs[0] = resolveUDP(listen)
	cfg.Target, errs[1] = resolveUDP(target)
	return cfg, errors.Join(errs[:]...)
}

func resolveUDP(addr string) (netip.AddrPort, error) {
	u, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("--udp: address %q: %w", addr, err)
	}
	at := u.AddrPort()
	if !at.Addr().IsValid() {
		return at, fmt.Errorf("--udp: address %q has no host, want one such as localhost%s", addr, addr)
	}
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port()), nil
}

func printLink(w io.Writer, way string, l *netsim.LinkStats) {
	fmt.Fprintf(w, "%s: %d packets (%s), %d delivered, dropped %d by the queue, %d by size and %d by the scenario, %d corrupted, %d duplicated, %d reordered\n",
		way, l.Packets, sizeText(int64(l.Bytes)), l.Delivered, l.QueueDrops, l.TooBig, l.ErrorDrops, l.Corrupted, l.Duplicated, l.Reordered)
}
