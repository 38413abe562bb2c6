package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/seed51309289/quiver/interop"
	"github.com/seed51309289/quiver/plugin"
	"github.com/seed51309289/quiver/plugin/build"
	"github.com/spf13/cobra"
)

// buildOptions are the flags of build as given.
type buildOptions struct {
	origin build.Origin
	check  bool
}

func newPluginBuild() *cobra.Command {
	var o buildOptions
	cmd := &cobra.Command{
		Use:   "build DIR",
		Short: "Build a plugin from its directory",
		Long: `Build the plugin in DIR with the tools of its language, seal it with its manifest.json as
DIR/NAME.wasm, and load it as a connection would: what the host refuses is refused now. NAME is
the last part of the plugin's id.

With --check nothing is written: DIR/NAME.wasm must be what the sources give. Signatures, and
--url and --commit, which must be given again, aside.`,
		Example: `  quiver plugin build mine
  quiver plugin build mine --url https://example.org/mine --commit 1f2e3d4
  quiver plugin build mine --check`,
		Args: wantArgs("DIR"),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
		RunE: func(cmd *cobra.Command, args []string) error { return buildPlugin(cmd, &o, args[0]) },
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.BoolVar(&o.check, "check", false, "say whether the package that is there can be reproduced")
	f.StringVar(&o.origin.URL, "url", "", "`URL` of the sources, which the package then names")
	f.StringVar(&o.origin.Commit, "commit", "", "`COMMIT` of the sources")
	return cmd
}

func buildPlugin(cmd *cobra.Command, o *buildOptions, dir string) error {
	name, sealed, err := build.Dir(cmd.Context(), dir, o.origin, cmd.ErrOrStderr())
	if tool, ok := errors.AsType[*build.ToolError](err); ok {
		return &status{exitFailed, tool, tool.Hint}
	}
	if err != nil {
		return err
	}
	name = filepath.Join(dir, name)
	m, err := plugin.Load(cmd.Context(), name, sealed, plugin.Policy{})
	if err != nil {
		return err
	}
	defer m.Close()
	if o.check {
		return checkBuild(cmd, name, m)
	}
	if err := keepBuilt(cmd, name, sealed, m); err != nil {
		return err
	}
	printBuilt(cmd, name, m)
	return nil
}

// keepBuilt writes a package, unless the one that is there is the same, perhaps with signatures.
func keepBuilt(cmd *cobra.Command, name string, sealed []byte, m *plugin.Module) error {
	if there, err := readPlugin(name); err == nil && len(there.Signatures) > 0 {
		if there.Digest == m.Digest() {
			fmt.Fprintf(cmd.ErrOrStderr(), "Nothing changed: %s keeps its signatures.\n", name)
			return nil
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "%s was signed, and is another one now: sign it again.\n", name)
	}
	return interop.WriteFileAtomic(name, sealed)
}

// checkBuild compares a package with what was built again.
func checkBuild(cmd *cobra.Command, name string, built *plugin.Module) error {
	there, err := readPlugin(name)
	if errors.Is(err, os.ErrNotExist) {
		return &status{exitFailed, err, "build it without --check first"}
	}
	if err != nil {
		return err
	}
	if there.Digest != built.Digest() {
		return &status{exitFailed, fmt.Errorf("%s is not what its sources give: digest %s, built %s", name, there.Digest, built.Digest()),
			"the compiler's version matters, and so do --url and --commit; 'quiver plugin inspect' shows them"}
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s is reproduced: digest %s\n", name, built.Digest())
	return nil
}

func printBuilt(cmd *cobra.Command, name string, m *plugin.Module) {
	out := cmd.OutOrStdout()
	cost := "not bounded by its code, so by the limit"
	if call, ok := m.Report().Function("pq_call"); ok && call.Bounded {
		cost = fmt.Sprintf("at most %d fuel", call.Worst)
	}
	p := m.Package()
	fmt.Fprintf(out, "%s: %s %s, %s\n", name, p.Manifest.ID, p.Manifest.Version, sizeText(int64(len(p.Raw))))
	fmt.Fprintf(out, "  digest       %s\n  permissions  %s\n  a call       %s\n", m.Digest(), ceilingText(m.Grant().Ceiling), cost)
}
