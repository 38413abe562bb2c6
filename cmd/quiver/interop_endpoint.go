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
		Short: "Be one end of an interop run, as the environment says",
		Long: `Be the client or the server of an interop run: what a container's entry point does.

The environment decides:
  ROLE           client or server
  TESTCASE       what to do; status 127 if this is not supported
  REQUESTS       URLs to fetch, separated by blanks (client)
  SSLKEYLOGFILE  file for the TLS secrets
  QLOGDIR        directory for qlogs
  QUIVER_PLUGINS names of plugins that come with quiver, for every connection

A client exits with 0 when all files are there, with 1 otherwise. A server runs
until it is told to stop. The options name other places than the usual ones,
for runs without namespaces.`,
		Example: `  ROLE=client TESTCASE=transfer REQUESTS=https://server4:443/a quiver interop endpoint`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if code := endpoint.Run(cmd.Context(), e, cmd.OutOrStdout(), cmd.ErrOrStderr()); code != 0 {
				return &status{code: code}
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&e.Listen, "listen", e.Listen, "`ADDR` on which a server listens")
	f.StringVar(&e.WWW, "www", e.WWW, "`DIR` with the files to serve")
	f.StringVar(&e.Downloads, "downloads", e.Downloads, "`DIR` for the files fetched")
	f.StringSliceVar(&e.Plugins, "plugins", e.Plugins, "`NAMES` of plugins that come with quiver, for every connection")
	f.StringVar(&e.Certs, "certs", e.Certs, "`DIR` with cert.pem, priv.key and ca.pem")
	return cmd
}
