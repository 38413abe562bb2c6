package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"os"

	"github.com/seed51309289/quiver/plugin/pack"
	"github.com/spf13/cobra"
)

func newPluginKeygen() *cobra.Command {
	return &cobra.Command{
		Use:   "keygen FILE",
		Short: "Make a key to sign plugins with",
		Long: `Make an ed25519 key: FILE, which stays secret, and FILE.pub, for those who trust you. Nothing is
overwritten. stdout is the public key in one line.`,
		Example: "  quiver plugin keygen author.key",
		Args:    wantArgs("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			key, err := pack.GenerateKey(rand.Reader)
			if err != nil {
				return err
			}
			public := pack.PublicKey(key.Public().(ed25519.PublicKey))
			if err := pack.WritePublicKey(args[0]+".pub", public); err != nil {
				return err
			}
			if err := pack.WritePrivateKey(args[0], key); err != nil {
				os.Remove(args[0] + ".pub") // ours: it was not there before
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), public)
			fmt.Fprintf(cmd.ErrOrStderr(), "Made key %s. Keep %s secret, and publish %s.pub.\n", public.ID(), args[0], args[0])
			return nil
		},
	}
}
