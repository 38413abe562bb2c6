package main

import (
	"errors"
	"fmt"

	"github.com/seed51309289/quiver/interop"
	"github.com/spf13/cobra"
)

// exitUnsupported is the status for a test case that an endpoint does not support.
const exitUnsupported = 127

func newInteropCheck() *cobra.Command {
	return &cobra.Command{
		Use:   "check LOGDIR/SERVER_CLIENT/TEST",
		Short: "Judge a saved run again from its trace",
		Long: `Judge a saved run again from its two traces, its key logs and the recorded facts about
its files, and print the verdict with the evidence for it.

Exit status: 0 succeeded, 1 failed, 127 unsupported.`,
		Example: "  quiver interop check interop-results/2026-03-01T12:00:00/quic-go_quiver/handshake",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage(cmd, errors.New("want one directory of a run, LOGDIR/SERVER_CLIENT/TEST"))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			res, err := interop.CheckSaved(args[0], nil)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			fmt.Fprintf(out, "%s, client %s, server %s: %s\n%s\n", res.Test, res.Client, res.Server, res.Status, res.Reason)
			for _, e := range res.Evidence {
				fmt.Fprintf(out, "  %s\n", e)
			}
			switch res.Status {
			case interop.Failed:
				return &status{code: exitFailed}
			case interop.Unsupported:
				return &status{code: exitUnsupported}
			}
			return nil
		},
	}
}
