package main

import "github.com/spf13/cobra"

func newInterop() *cobra.Command {
	return group(&cobra.Command{
		Use:   "interop",
		Short: "Run QUIC implementations against each other and judge every run from its packet trace",
		Example: `  quiver interop run -s quic-go -c quiver -t handshake,transfer
  quiver interop list implementations`,
	},
		newInteropRun(),
		newInteropList(),
		newInteropCheck(),
		newInteropEndpoint(),
		newInteropEndpoint(),
	)
}
