package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/seed51309289/quiver/sockets/identity"
	"github.com/spf13/cobra"
)

// identityOptions are the flags about who the two ends of a tunnel are.
type identityOptions struct {
	ca, clientCA, cert, key, knownHosts string
	pins, allow                         []string
	strict, insecure                    bool
}

func (o *identityOptions) addFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.ca, "ca", "", "trust peers for which the authorities in this PEM `FILE` vouch; '"+identity.System+"' are this machine's")
	f.StringSliceVar(&o.pins, "pin", nil, "trust only peers with these keys, each a `SHA256`")
	f.StringVar(&o.knownHosts, "known-hosts", "", "`FILE` of the keys that were seen (default known_hosts in the state directory)")
	f.BoolVar(&o.strict, "strict", false, "trust no key at first sight")
	f.BoolVar(&o.insecure, "insecure", false, "trust everybody; for tests")
	f.StringVar(&o.cert, "cert", "", "certificate chain to show, PEM `FILE` (default this machine's own)")
	f.StringVar(&o.key, "key", "", "private key of --cert, PEM `FILE`")
	f.StringSliceVar(&o.allow, "allow", nil, "`PEERS` that may connect to us: sha256:…, a name, spiffe://… (default all)")
	f.StringVar(&o.clientCA, "client-ca", "", "authorities that vouch for clients, PEM `FILE` (default those of --ca)")
}

func (o *identityOptions) options(log *slog.Logger) (identity.Options, error) {
	if (o.cert == "") != (o.key == "") {
		return identity.Options{}, errors.New("--cert and --key belong together, got one of them")
	}
	for _, pin := range o.pins {
		if _, err := identity.ParsePin(pin); err != nil {
			return identity.Options{}, fmt.Errorf("--pin: %w", err)
		}
	}
	keylog, err := openKeyLogOf(os.Getenv("SSLKEYLOGFILE"))
	if err != nil {
		return identity.Options{}, err
	}
	return identity.Options{
		CA: o.ca, ClientCA: o.clientCA, Cert: o.cert, Key: o.key, Pins: o.pins,
		KnownHosts: o.knownHosts, Strict: o.strict, Insecure: o.insecure, Allow: o.allow, KeyLog: keylog, Log: log,
	}, nil
}

// openKeyLogOf opens a file for TLS secrets, if there is to be one.
func openKeyLogOf(path string) (io.Writer, error) {
	if path == "" {
		return nil, nil
	}
	return os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
}
