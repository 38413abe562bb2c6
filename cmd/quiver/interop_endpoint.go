package main

import (
	"os"

	"github.com/seed51309289/quiver/interop/endpoint"
	"github.com/spf13/cobra"
)

func newInteropEndpoint() *cobra.Command {
	e := endpoint.FromEnviron(os.Environ())
	cmd := &cobra.Command{
		Use:   "endpoint",
		Short: "Play the role that the environment describes",
		Long: `Play one endpoint of an interop run, as the environment says: ROLE (client or server),
TESTCASE, REQUESTS (URLs), SSLKEYLOGFILE and QLOGDIR. This is the entry point of an image,
and what "quiver interop run" starts for the implementation quiver.

A client fetches REQUESTS and exits; a server serves until it is stopped. Exit status: 0 done,
1 failed, 127 test case unsupported.`,
		Example: "  ROLE=server TESTCASE=transfer quiver interop endpoint --listen :4433 --www . --certs certs",
		Args:    noArgs,
	}
	f := cmd.Flags()
	f.StringVar(&e.Listen, "listen", e.Listen, "`ADDRESS` of the server")
	f.StringVar(&e.WWW, "www", e.WWW, "`DIR` of the files to serve")
	f.StringVar(&e.Downloads, "downloads", e.Downloads, "`DIR` to save files to")
	f.StringVar(&e.Certs, "certs", e.Certs, "`DIR` of cert.pem, priv.key and ca.pem")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if code := endpoint.Run(cmd.Context(), e, cmd.OutOrStdout(), cmd.ErrOrStderr()); code != exitDone {
			return &status{code: code}
		}
		return nil
	}
	return cmd
}
