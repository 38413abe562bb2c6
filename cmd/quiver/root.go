package main

import (
	"github.com/spf13/cobra"
)

// newRoot returns the whole command tree, fresh for each call of run.
func newRoot() *cobra.Command {
	root := group(&cobra.Command{
		Use:   "quiver",
		Short: "A QUIC toolkit: transport, network simulator, interop runner and plugins",
		Long: `Quiver is a QUIC toolkit: a transport, a network simulator, a runner that tests
implementations against each other, and plugins that extend one connection.

stdout is data, stderr is talk. Exit status: 0 done, 1 failed, 2 wrong usage,
127 test case unsupported.`,
		Example: `  quiver interop run                 the whole matrix, from nothing but Go
  quiver server --www DIR            serve files over QUIC; says how to fetch them
  quiver interop list tests          what can be tested
  quiver help interop run            every option`,
		SilenceErrors: true,
		SilenceUsage:  true,
	},
		newRun(),
		newGateway(),
		newServer(),
		newClient(),
		newSim(),
		newInterop(),
		newPlugin(),
		newBench(),
		newPS(),
		newStatus(),
		newDoctor(),
		newVersion(),
		newMan(),
	)
	root.SetFlagErrorFunc(usage)
	completeFlags(root)
	return root
}
