package main

import (
	"fmt"
	"time"

	"github.com/seed51309289/quiver/plugin/pack"
	"github.com/spf13/cobra"
)

func newPluginVerify() *cobra.Command {
	var trust trustFlag
	cmd := &cobra.Command{
		Use:   "verify FILE.wasm",
		Short: "Check a plugin's signatures, and whether the trust file lets it run",
		Long: `Check that every signature of a plugin holds, and that the trust file lets it run when a peer
offers it. Exit status: 0 it may run, 1 it may not.`,
		Example: `  quiver plugin verify mine.wasm
  quiver plugin verify mine.wasm --trust other/trust`,
		Args:              wantArgs("FILE.wasm"),
		ValidArgsFunction: completePlugin,
	}
	trust.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		t, err := trust.load()
		if err != nil {
			return err
		}
		p, err := readPlugin(args[0])
		if err != nil {
			return err
		}
		grant, err := pack.Judge(p, t, true, time.Now())
		if err == nil && len(p.Signatures) > 0 {
			err = p.Verify()
		}
		if err != nil {
			path, _ := trust.file()
			return &status{exitFailed, err, fmt.Sprintf("'quiver plugin trust' changes %s, which says what may run", path)}
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s %s may run: %s\n", p.Manifest.ID, p.Manifest.Version, grant.By)
		fmt.Fprintf(cmd.OutOrStdout(), "digest %s, %d signatures hold\n", p.Digest, len(p.Signatures))
		return nil
	}
	return cmd
}
