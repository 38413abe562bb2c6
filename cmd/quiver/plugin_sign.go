package main

import (
	"crypto/ed25519"
	"errors"
	"fmt"

	"github.com/seed51309289/quiver/interop"
	"github.com/seed51309289/quiver/plugin/pack"
	"github.com/spf13/cobra"
)

// signOptions are the flags of sign as given.
type signOptions struct {
	key, claim, output string
	remove             bool
}

func newPluginSign() *cobra.Command {
	var o signOptions
	cmd := &cobra.Command{
		Use:   "sign FILE.wasm --key KEY",
		Short: "Sign a plugin",
		Long: `Sign a plugin as its author, or with --claim as somebody who has looked at it. The signature goes
into the file; the identity of the plugin stays the same.`,
		Example: `  quiver plugin sign mine.wasm --key author.key
  quiver plugin sign mine.wasm --key validator.key --claim reproduced`,
		Args:              wantArgs("FILE.wasm"),
		ValidArgsFunction: completePlugin,
		RunE:              func(cmd *cobra.Command, args []string) error { return signPlugin(cmd, &o, args[0]) },
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&o.key, "key", "", "`FILE` with the key, as 'quiver plugin keygen' makes it")
	f.StringVar(&o.claim, "claim", "", "say `WHAT` was found, as a validator")
	f.BoolVar(&o.remove, "remove", false, "take all signatures of the key away")
	f.StringVarP(&o.output, "output", "o", "", "write to `FILE` (default FILE.wasm itself)")
	return cmd
}

func signPlugin(cmd *cobra.Command, o *signOptions, arg string) error {
	switch {
	case o.key == "":
		return usage(cmd, errors.New("--key is missing; 'quiver plugin keygen' makes one"))
	case o.remove && o.claim != "":
		return usage(cmd, errors.New("--remove takes all signatures away, and no --claim"))
	}
	key, err := pack.ReadPrivateKey(o.key)
	if err != nil {
		return err
	}
	p, err := readPlugin(arg)
	if err != nil {
		return err
	}
	id := pack.PublicKey(key.Public().(ed25519.PublicKey)).ID()
	what := "Signed %s as %s with key %s.\n"
	var b []byte
	if o.remove {
		var n int
		if b, n, err = pack.Unsign(p.Raw, pack.PublicKey(key.Public().(ed25519.PublicKey))); err == nil && n == 0 {
			err = fmt.Errorf("%s has no signature of key %s", arg, id)
		}
		what = "Took the signatures of %s as %s with key %s away.\n"
	} else {
		b, err = pack.Sign(p.Raw, key, o.claim)
	}
	if err != nil {
		return err
	}
	to := o.output
	if to == "" {
		to = arg
	}
	if err := interop.WriteFileAtomic(to, b); err != nil {
		return err
	}
	as := "its author"
	if o.claim != "" {
		as = fmt.Sprintf("%q", o.claim)
	}
	fmt.Fprintf(cmd.ErrOrStderr(), what, p.Manifest.ID, as, id)
	return nil
}
