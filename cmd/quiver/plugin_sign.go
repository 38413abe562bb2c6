package main

import (
	"cmp"
	"crypto/ed25519"
	"errors"
	"fmt"
	"strconv"

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
	case o.output == "" && shipped(arg):
		return usage(cmd, errors.New("a plugin that comes with quiver is signed in a copy: say where with --output"))
	}
	key, err := pack.ReadPrivateKey(o.key)
	if err != nil {
		return err
	}
	p, err := readPlugin(arg)
	if err != nil {
		return err
	}
	b, did, err := o.change(p, key)
	if err != nil {
		return err
	}
	if err := interop.WriteFileAtomic(cmp.Or(o.output, arg), b); err != nil {
		return err
	}
	fmt.Fprintln(cmd.ErrOrStderr(), did)
	return nil
}

// change returns the package with another signature, or without some, and says what it did.
func (o *signOptions) change(p *pack.Package, key ed25519.PrivateKey) (b []byte, did string, err error) {
	public := pack.PublicKey(key.Public().(ed25519.PublicKey))
	if o.remove {
		b, n, err := pack.Unsign(p.Raw, public)
		if err == nil && n == 0 {
			err = fmt.Errorf("%s has no signature of key %s", p.File, public.ID())
		}
		return b, fmt.Sprintf("Took the signatures of key %s off %s.", public.ID(), p.Manifest.ID), err
	}
	as := "its author"
	if o.claim != "" {
		as = strconv.Quote(o.claim)
	}
	b, err = pack.Sign(p.Raw, key, o.claim)
	return b, fmt.Sprintf("Signed %s as %s with key %s.", p.Manifest.ID, as, public.ID()), err
}
