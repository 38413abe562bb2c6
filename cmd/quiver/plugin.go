package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/seed51309289/quiver/plugin"
	"github.com/seed51309289/quiver/plugin/pack"
	"github.com/seed51309289/quiver/plugins"
	"github.com/spf13/cobra"
)

func newPlugin() *cobra.Command {
	return group(&cobra.Command{
		Use:   "plugin",
		Short: "Make, test, sign and run plugins, which extend one connection at run time",
		Long: `A plugin is a WebAssembly module with a manifest: it watches or decides what happens on one
connection, and can do what its manifest declares and nothing else.

Where a command takes a FILE.wasm it also takes the name of a plugin that comes with quiver.`,
		Example: `  quiver plugin new wat cc mine              a congestion controller to start from
  quiver plugin build mine                   mine/mine.wasm
  quiver plugin inspect mine/mine.wasm       what it may do, and what it costs`,
	},
		newPluginNew(),
		newPluginBuild(),
		newPluginInspect(),
		newPluginTest(),
		newPluginRun(),
		newPluginBench(),
		newPluginFuzz(),
		newPluginKeygen(),
		newPluginSign(),
		newPluginVerify(),
		newPluginTrust(),
		newPluginCache(),
	)
}

// wantArgs refuses any other number of arguments than that of what, which names them.
func wantArgs(what ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < len(what):
			return usage(cmd, fmt.Errorf("%s is missing", what[len(args)]))
		case len(args) > len(what):
			return usage(cmd, fmt.Errorf("unexpected argument %q", args[len(what)]))
		}
		return nil
	}
}

// readPlugin reads the package that an argument names: a file, or a plugin that comes with quiver.
func readPlugin(arg string) (*pack.Package, error) {
	if !shipped(arg) {
		return pack.ReadFile(arg, 0)
	}
	b, err := plugins.File(arg)
	if err != nil {
		return nil, &status{exitFailed, err, "the name of a file ends in .wasm"}
	}
	return pack.Read(arg+".wasm", b, 0)
}

// shipped reports whether an argument means a plugin that comes with quiver, and no file.
func shipped(arg string) bool { return filepath.Base(arg) == arg && filepath.Ext(arg) == "" }

// loadPlugin loads the plugin that an argument names as one that the user trusts.
func loadPlugin(ctx context.Context, arg string) (*plugin.Module, error) {
	p, err := readPlugin(arg)
	if err != nil {
		return nil, err
	}
	return plugin.Load(ctx, p.File, p.Raw, plugin.Policy{})
}

// completePlugin completes a FILE.wasm.
func completePlugin(_ *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	for _, name := range plugins.Names() {
		if typed != "" && strings.HasPrefix(name, typed) {
			return plugins.Names(), cobra.ShellCompDirectiveNoFileComp
		}
	}
	return []cobra.Completion{"wasm"}, cobra.ShellCompDirectiveFilterFileExt
}

// trustFlag is --trust of the commands that look into the trust file.
type trustFlag struct{ path string }

func (t *trustFlag) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&t.path, "trust", "", "trust `FILE` (default $XDG_CONFIG_HOME/quiver/trust)")
}

// file returns where the trust file is.
func (t *trustFlag) file() (string, error) {
	if t.path != "" {
		return t.path, nil
	}
	return pack.DefaultTrustFile()
}

func (t *trustFlag) load() (*pack.Trust, error) {
	path, err := t.file()
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(path); err != nil && t.path != "" {
		return nil, err
	}
	return pack.LoadTrust(path)
}
