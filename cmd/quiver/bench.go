package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/seed51309289/quiver/internal/bench"
	"github.com/spf13/cobra"
)

func newBench() *cobra.Command {
	var (
		size     string
		jsonFile string
		unpinned bool
		o        bench.Options
	)
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Compare Quiver's CPU time with other stacks' on loopback",
		Long: `Download over loopback with Quiver and with other stacks, and compare the CPU time of
client and server together.

Every stack runs in processes of its own; the stacks take turns in every round.
The ratios of one round are what counts: other work on the machine moves all
stacks alike. The foreign stacks are built through the Go module proxy, once.`,
		Example: `  quiver bench --vs quic-go,tcp-tls --sizes 1G --streams 1,100`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := parseSize(size)
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
			o.Bytes, o.Pin, o.Log = n, !unpinned, cmd.ErrOrStderr()
			o.Self = []string{self, "bench"}
			runs, err := bench.All(cmd.Context(), o)
			sums := bench.Summarize(runs)
			bench.Print(cmd.OutOrStdout(), sums)
			if jsonFile != "" && err == nil {
				err = writeJSON(jsonFile, map[string]any{"runs": runs, "summary": sums})
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&size, "sizes", "1G", "`BYTES` of one download; K, M and G are 2^10, 2^20 and 2^30")
	f.IntSliceVar(&o.Streams, "streams", []int{1}, "numbers of parallel streams")
	f.StringSliceVar(&o.Versus, "vs", []string{"quic-go"}, "stacks to compare with: "+strings.Join(bench.Stacks(), ", "))
	f.IntVar(&o.Rounds, "rounds", 5, "`N` rounds, in each of which every stack runs once")
	f.IntVar(&o.Datagram, "datagram", 0, "largest UDP payload of Quiver in `BYTES`, to compare at equal sizes (quic-go: 1452); 0 = path MTU discovery")
	f.StringVar(&o.Congestion, "cc", "cubic", "congestion `CONTROLLER` of Quiver: "+strings.Join(congestionControllers, ", "))
	f.BoolVar(&unpinned, "unpinned", false, "let both processes use all processors, instead of one each")
	f.StringVar(&jsonFile, "json", "", "`FILE` for all runs and the summary")
	cmd.AddCommand(newBenchServer(), newBenchClient())
	return cmd
}

// checkBench finds what cannot be measured before anything is built.
func checkBench(o *bench.Options) error {
	for _, stack := range o.Versus {
		if !slices.Contains(bench.Stacks(), stack) {
			return fmt.Errorf("unknown stack %q; there are: %s", stack, strings.Join(bench.Stacks(), ", "))
		}
	}
	if !slices.Contains(congestionControllers, o.Congestion) {
		return fmt.Errorf("--cc: unknown congestion controller %q; there are: %s", o.Congestion, strings.Join(congestionControllers, ", "))
	}
	for _, n := range o.Streams {
		if n < 1 || n > bench.MaxStreams {
			return fmt.Errorf("%d streams, want 1 to %d", n, bench.MaxStreams)
		}
	}
	if o.Rounds < 1 {
		return fmt.Errorf("%d rounds, want at least 1", o.Rounds)
	}
	return nil
}

// newBenchServer and newBenchClient are the two processes of a run; their
// options have the form that the foreign stacks' programs share.
func newBenchServer() *cobra.Command {
	return &cobra.Command{
		Use: "server", Hidden: true, DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			o := pairs(args)
			tuning, err := benchTuning(o)
			if err != nil {
				return err
			}
			return bench.Serve(cmd.Context(), o["-listen"], o["-cert"], o["-key"], tuning, cmd.OutOrStdout())
		},
	}
}

func newBenchClient() *cobra.Command {
	return &cobra.Command{
		Use: "client", Hidden: true, DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			o := pairs(args)
			n, err := strconv.ParseUint(o["-bytes"], 10, 64)
			if err != nil {
				return err
			}
			streams, err := strconv.Atoi(o["-streams"])
			if err != nil {
				return err
			}
			tuning, err := benchTuning(o)
			if err != nil {
				return err
			}
			return bench.Fetch(cmd.Context(), o["-addr"], n, streams, tuning, cmd.OutOrStdout())
		},
	}
}

func benchTuning(o map[string]string) (t bench.Tuning, err error) {
	t.Congestion = o["-cc"]
	t.Datagram, err = strconv.Atoi(o["-datagram"])
	return t, err
}

// pairs reads "-name value" arguments.
func pairs(args []string) map[string]string {
	m := map[string]string{}
	for i := 0; i+1 < len(args); i += 2 {
		m[args[i]] = args[i+1]
	}
	return m
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
