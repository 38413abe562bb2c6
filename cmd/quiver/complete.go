package main

import (
	"slices"
	"strings"

	"github.com/seed51309289/quiver/internal/bench"
	"github.com/seed51309289/quiver/interop"
	"github.com/seed51309289/quiver/plugins"
	"github.com/spf13/cobra"
)

// completeFlags tells the shell which names the flags of all commands take.
func completeFlags(root *cobra.Command) {
	for _, name := range []string{"server", "client", "bench"} {
		completeWords(find(root, name), "cc", congestionControllers...)
	}
	for _, name := range []string{"server", "client"} {
		completeDirs(find(root, name), "qlog")
		register(find(root, name), "plugin", completePluginUse)
		register(find(root, name), "offer-plugin", completePluginUse)
		completeWords(find(root, name), "packets", packetKinds...)
		completeWords(find(root, name), "version", versionNames...)
	}
	server := find(root, "server")
	completeWords(find(root, "client"), "http", "3", "0.9")
	completeWords(server, "alpn", alpns...)
	completeDirs(server, "www")
	completeDirs(find(root, "client"), "output")
	completeDirs(find(root, "sim"), "pcap")
	completeList(find(root, "bench"), "vs", func(*cobra.Command) []string { return bench.Stacks() })
	completeRun(find(root, "interop", "run"))
	completeGateway(find(root, "gateway"))
	completePlugins(root)
	completeLayer(find(root, "run"))
}

// completeLayer is for quiver run, of which everything behind the flags is somebody else's command line.
func completeLayer(cmd *cobra.Command) {
	completeWords(cmd, "mode", modeNames...)
	completeWords(cmd, "fallback", "fail", "tcp")
	completeWords(cmd, "ports", "shared", "same")
	completeWords(cmd, "cc", congestionControllers...)
	completeDirs(cmd, "qlog")
	cmd.ValidArgsFunction = func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return nil, cobra.ShellCompDirectiveDefault
	}
}

func completeGateway(cmd *cobra.Command) {
	scheme := func(names ...string) cobra.CompletionFunc {
		return cobra.FixedCompletions(names, cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveNoSpace)
	}
	register(cmd, "in", scheme("tcp://", "quic://"))
	register(cmd, "out", scheme("quic://", "tcp://"))
	completeWords(cmd, "cc", congestionControllers...)
	completeDirs(cmd, "qlog")
}

func completeRun(cmd *cobra.Command) {
	completeList(cmd, "test", func(*cobra.Command) []string {
		names := []string{"onlyTests", "onlyMeasurements", "all"}
		for _, c := range interop.Cases() {
			names = append(names, c.Name)
		}
		return names
	})
	for _, flag := range []string{"server", "client", "no-auto-unsupported", "must-include"} {
		completeList(cmd, flag, implementations)
	}
	completeWords(cmd, "protocol", "quic")
	completeWords(cmd, "backend", "auto", "netns", "loopback")
	completeWords(cmd, "profile", "compat")
	completeWords(cmd, "fail-on", "any", "none")
	completeDirs(cmd, "log-dir")
}

func completePlugins(root *cobra.Command) {
	completeList(find(root, "plugin", "trust", "add"), "permission", func(*cobra.Command) []string { return permissionNames() })
	for _, name := range []string{"list", "clear"} {
		completeDirs(find(root, "plugin", "cache", name), "cache")
	}
	register(find(root, "plugin", "inspect"), "diff", completePluginFlag)
	register(find(root, "plugin", "test"), "scenario", completeLabScenario)
	register(find(root, "plugin", "run"), "scenario", completeLabScenario)
	completeWords(find(root, "plugin", "test"), "vs", append([]string{"plain"}, append(congestionControllers, plugins.Names()...)...)...)
}

// completePluginFlag is for a flag that takes a FILE.wasm.
func completePluginFlag(cmd *cobra.Command, _ []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return completePlugin(cmd, nil, typed)
}

// implementations are the names of the registry that the command line so far asks for.
func implementations(cmd *cobra.Command) []string {
	files, err := cmd.Flags().GetStringArray("registry")
	if err != nil {
		panic("BUG: " + err.Error())
	}
	r, err := loadRegistry(files)
	if err != nil {
		return nil
	}
	var names []string
	for _, i := range r.All() {
		names = append(names, i.Name)
	}
	return names
}

func find(root *cobra.Command, path ...string) *cobra.Command {
	cmd, rest, err := root.Find(path)
	if err != nil || len(rest) > 0 {
		panic("BUG: no command " + strings.Join(path, " "))
	}
	return cmd
}

func completeWords(cmd *cobra.Command, flag string, words ...string) {
	register(cmd, flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
}

func completeDirs(cmd *cobra.Command, flag string) {
	register(cmd, flag, cobra.FixedCompletions(nil, cobra.ShellCompDirectiveFilterDirs))
}

// completeList is for a flag that takes several names with commas between them: each once.
func completeList(cmd *cobra.Command, flag string, names func(*cobra.Command) []string) {
	register(cmd, flag, func(cmd *cobra.Command, _ []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		done := typed[:strings.LastIndex(typed, ",")+1]
		used := strings.Split(done, ",")
		var out []cobra.Completion
		for _, name := range names(cmd) {
			if !slices.Contains(used, name) {
				out = append(out, done+name)
			}
		}
		return out, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	})
}

func register(cmd *cobra.Command, flag string, f cobra.CompletionFunc) {
	if err := cmd.RegisterFlagCompletionFunc(flag, f); err != nil {
		panic("BUG: " + err.Error())
	}
}
