package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/seed51309289/quiver/plugin/pack"
	"github.com/seed51309289/quiver/plugin/sdk"
	"github.com/spf13/cobra"
)

func newPluginNew() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "new LANGUAGE KIND DIR",
		Short: "Make a directory with a plugin to start from",
		Long: `Write a plugin that works, with everything that building it takes, to DIR, which must be empty
or not exist. The languages, what building takes, and the kinds of plugin:
` + languageNames(),
		Example: `  quiver plugin new wat cc mine
  quiver plugin new c fec repair --id org.example.repair`,
		Args:              wantArgs("LANGUAGE", "KIND", "DIR"),
		ValidArgsFunction: completeTemplate,
	}
	id := cmd.Flags().String("id", "", "reverse domain `NAME` of the plugin (default org.example. and the name of DIR)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		l, err := sdk.Find(args[0])
		if err != nil {
			return usage(cmd, err)
		}
		if !slices.Contains(l.Kinds(), args[1]) {
			return usage(cmd, fmt.Errorf("no template for %q in %s, have %s", args[1], l.Name, strings.Join(l.Kinds(), ", ")))
		}
		name, err := pluginID(*id, args[2])
		if err != nil {
			return usage(cmd, err)
		}
		return createPlugin(cmd, l, args[1], args[2], name)
	}
	return cmd
}

// languageNames lists what there is, for the help.
func languageNames() string {
	var b strings.Builder
	for i := range sdk.Languages {
		l := &sdk.Languages[i]
		fmt.Fprintf(&b, "  %-14s  %-31s  %s\n", l.Name, l.Need(), strings.Join(l.Kinds(), ", "))
	}
	return b.String()
}

func completeTemplate(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	var words []cobra.Completion
	switch len(args) {
	case 0:
		for i := range sdk.Languages {
			words = append(words, sdk.Languages[i].Name)
		}
	case 1:
		if l, err := sdk.Find(args[0]); err == nil {
			words = l.Kinds()
		}
	case 2:
		return nil, cobra.ShellCompDirectiveFilterDirs
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}

// pluginID returns the id that the user chose, or one after the directory.
func pluginID(id, dir string) (string, error) {
	if id != "" {
		if !pack.ValidID(id) {
			return "", fmt.Errorf("--id %q, want a reverse domain name such as org.example.mine", id)
		}
		return id, nil
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	id = "org.example." + strings.ToLower(filepath.Base(abs))
	if !pack.ValidID(id) {
		return "", errors.New("the name of the directory is no name for a plugin (letters, digits, '-'): choose one with --id org.example.NAME")
	}
	return id, nil
}

func createPlugin(cmd *cobra.Command, l *sdk.Language, kind, dir, id string) error {
	files, err := sdk.Create(dir, l, kind, id)
	if err != nil {
		return err
	}
	out, talk := cmd.OutOrStdout(), cmd.ErrOrStderr()
	for _, f := range files {
		fmt.Fprintln(out, filepath.Join(dir, f))
	}
	file := filepath.Join(dir, id[strings.LastIndexByte(id, '.')+1:]+".wasm")
	fmt.Fprintf(talk, "Made %s, which takes %s to build. Next:\n", id, l.Need())
	if setup := l.Setup(); setup != "" {
		fmt.Fprintf(talk, "  cd %s && %s\n", dir, setup)
	}
	for _, line := range []string{"build " + dir, "inspect " + file, "test " + file} {
		fmt.Fprintf(talk, "  quiver plugin %s\n", line)
	}
	return nil
}
