package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/seed51309289/quiver/internal/bench"
	"github.com/seed51309289/quiver/peers/perf"
	"github.com/spf13/cobra"
)

func newBench() *cobra.Command {
	var (
		size, jsonFile string
		works          []string
		sizes          bench.Sizes
		pin, noPin     bool
		o              bench.Options
	)
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Compare Quiver with other stacks: CPU time, rate, latency, memory",
		Long: `Put the same load on Quiver and on other stacks, and compare CPU time of client and
server together, rate, latency and memory. The table has a line for each figure,
with the target that Quiver has set itself where there is one.

Every stack runs in processes of its own; the stacks take turns in every round.
The ratios of one round are what counts: other work on the machine moves all
stacks alike. The foreign stacks are built through the Go module proxy, once.

Workloads:
  down, down100   a download on one stream, on 100
  up, up100       an upload
  pingpong        1 KiB there and back again, on one stream
  rr1, rr32       requests and responses of 1 KiB, a stream each, 1 or 32 in flight
  handshake       connections, each for one byte, 8 at a time; resumed: with a ticket
  idle            what a server keeps for each connection, 3 s after the last was made
  all             down, down100, up, pingpong, rr1, rr32, handshake, resumed, idle`,
		Example: `  quiver bench --vs quic-go,tcp-tls --workload down,rr32 --over loopback,veth`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := parseSize(size)
			if err == nil {
				sizes.Bytes = n
				o.Works, err = bench.ParseWorks(works, sizes)
			}
			if err == nil {
				err = checkBench(&o)
			}
			if err != nil {
				return usage(cmd, err)
			}
			self, err := os.Executable()
			if err != nil {
				return err
			}
			if o.Pin = []bool{true}; noPin {
				o.Pin = []bool{false}
				if pin {
					o.Pin = []bool{true, false}
				}
			}
			o.Self, o.Log = []string{self, "bench"}, cmd.ErrOrStderr()
			return runBench(cmd, o, jsonFile)
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&works, "workload", []string{"down"}, "`LIST` of workloads, see above")
	f.StringVar(&size, "sizes", "1G", "`BYTES` of one transfer; K, M and G are 2^10, 2^20 and 2^30")
	f.Uint64Var(&sizes.Ops, "ops", 20000, "`N` operations of pingpong and rr")
	f.Uint64Var(&sizes.Handshakes, "handshakes", 2000, "`N` connections of handshake and resumed")
	f.Uint64Var(&sizes.Conns, "conns", 5000, "`N` connections of idle")
	f.StringSliceVar(&o.Versus, "vs", []string{bench.QuicGo}, "stacks to compare with: "+strings.Join(bench.Stacks(), ", "))
	f.StringSliceVar(&o.Over, "over", []string{bench.Loopback}, "`LIST` of loopback, and veth: a link of MTU 1500 without segmentation offloads, which needs root")
	f.IntVar(&o.Rounds, "rounds", 5, "`N` rounds, in each of which every stack runs once")
	f.IntVar(&o.Tuning.Datagram, "datagram", 0, "largest UDP payload of Quiver in `BYTES`, to compare at equal sizes (quic-go: 1452); 0 = path MTU discovery")
	f.StringVar(&o.Tuning.Congestion, "cc", "cubic", "congestion `CONTROLLER` of Quiver: "+strings.Join(congestionControllers, ", "))
	f.BoolVar(&pin, "pin", false, "bind client and server to a processor each; this is the default")
	f.BoolVar(&noPin, "no-pin", false, "let both use all processors; with --pin: measure both ways")
	f.StringVar(&jsonFile, "json", "", "`FILE` for all runs, the table, and what the machine is")
	f.StringVar(&o.Profile, "profile", "", "`DIR` for CPU profiles of all processes")
	cmd.AddCommand(newBenchRole("server"), newBenchRole("client"))
	return cmd
}

// runBench measures, and reports also what there is after a failure.
func runBench(cmd *cobra.Command, o bench.Options, jsonFile string) error {
	if o.Profile != "" {
		if err := os.MkdirAll(o.Profile, 0o777); err != nil {
			return err
		}
	}
	runs, err := bench.Measure(cmd.Context(), o)
	rows := bench.Compare(runs)
	if len(rows) > 0 {
		err = errors.Join(err, bench.Print(cmd.OutOrStdout(), rows))
	}
	if jsonFile != "" {
		err = errors.Join(err, writeJSON(jsonFile, map[string]any{"machine": bench.ThisMachine(), "table": rows, "runs": runs}))
	}
	return err
}

// checkBench finds what cannot be measured before anything is built.
func checkBench(o *bench.Options) error {
	for _, list := range []struct {
		what        string
		got, exists []string
	}{{"stack", o.Versus, bench.Stacks()}, {"place", o.Over, bench.Places()}} {
		for _, name := range list.got {
			if !slices.Contains(list.exists, name) {
				return fmt.Errorf("unknown %s %q; there are: %s", list.what, name, strings.Join(list.exists, ", "))
			}
		}
	}
	if cc := o.Tuning.Congestion; !slices.Contains(congestionControllers, cc) {
		return fmt.Errorf("--cc: unknown congestion controller %q; there are: %s", cc, strings.Join(congestionControllers, ", "))
	}
	if o.Rounds < 1 {
		return fmt.Errorf("%d rounds, want at least 1", o.Rounds)
	}
	return nil
}

// newBenchRole is one of the two processes of a run; its options have the form
// that the foreign stacks' programs share.
func newBenchRole(role string) *cobra.Command {
	return &cobra.Command{
		Use: role, Hidden: true, DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			return perf.Main(cmd.Context(), bench.Stack{}, append([]string{role}, args...), cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
}

// parseSize reads a number of bytes such as 64M.
func parseSize(s string) (uint64, error) {
	digits := strings.TrimRight(strings.ToUpper(s), "KMGIB")
	n, err := strconv.ParseUint(digits, 10, 64)
	shift, known := map[string]uint{"": 0, "K": 10, "M": 20, "G": 30}[strings.TrimRight(strings.ToUpper(s)[len(digits):], "IB")]
	if err != nil || !known || n == 0 || n > 1<<20 {
		return 0, fmt.Errorf("size %q: want a number with K, M or G, such as 256M", s)
	}
	return n << shift, nil
}

func writeJSON(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o666)
}
