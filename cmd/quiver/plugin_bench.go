package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/seed51309289/quiver/plugin"
	"github.com/seed51309289/quiver/plugin/drive"
	"github.com/spf13/cobra"
)

// driveOptions are the flags that bench and fuzz share.
type driveOptions struct {
	settings []string
	server   bool
}

func (o *driveOptions) addFlags(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&o.settings, "set", nil, "setting of the plugin as `NAME=VALUE`; repeatable")
	cmd.Flags().BoolVar(&o.server, "server", false, "as the server's half of the plugin")
}

// subject loads the plugin that an argument names.
func (o *driveOptions) subject(cmd *cobra.Command, arg string) (drive.Subject, *plugin.Module, error) {
	values, err := parseSettings(o.settings)
	if err != nil {
		return drive.Subject{}, nil, usage(cmd, err)
	}
	m, err := loadPlugin(cmd.Context(), arg)
	if err != nil {
		return drive.Subject{}, nil, err
	}
	s := drive.Subject{New: m.New, Server: o.server}
	for _, op := range m.Manifest().AppOps {
		s.Calls = append(s.Calls, op.ID)
	}
	s.Config, err = m.Manifest().Configure(values)
	return s, m, err
}

func newPluginBench() *cobra.Command {
	var o driveOptions
	cmd := &cobra.Command{
		Use:   "bench FILE.wasm",
		Short: "Measure what the hooks of a plugin cost, in time and fuel",
		Long: `Call the hooks of a plugin as a connection would for some thousand round trips, and print for each
the median time of a call, with the way into the plugin and back, and its fuel. Times depend on
the machine, fuel does not.`,
		Example:           "  quiver plugin bench cc-cubic",
		Args:              wantArgs("FILE.wasm"),
		ValidArgsFunction: completePlugin,
	}
	o.addFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		s, m, err := o.subject(cmd, args[0])
		if err != nil {
			return err
		}
		defer m.Close()
		costs, err := drive.Bench(cmd.Context(), s)
		if err != nil {
			return err
		}
		return printCosts(cmd.OutOrStdout(), costs, true)
	}
	return cmd
}

// printCosts writes a line for each operation.
func printCosts(w io.Writer, costs []drive.Cost, timed bool) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if timed {
		fmt.Fprintln(t, "HOOK\tCALLS\tNS\tFUEL\tMAX FUEL")
	} else {
		fmt.Fprintln(t, "HOOK\tCALLS\tFUEL\tMAX FUEL")
	}
	for _, c := range costs {
		fmt.Fprintf(t, "%s\t%d\t", c.Op, c.Calls)
		if timed {
			fmt.Fprintf(t, "%d\t", c.Time.Nanoseconds())
		}
		fmt.Fprintf(t, "%.0f\t%d\n", c.FuelMean, c.FuelMax)
	}
	return t.Flush()
}
