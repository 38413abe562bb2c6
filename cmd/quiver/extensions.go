package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/packetlog"
	"github.com/seed51309289/quiver/plugin"
	"github.com/seed51309289/quiver/plugin/cache"
	"github.com/seed51309289/quiver/quic"
	"github.com/spf13/cobra"
)

// extensionOptions are the flags of server and client about plugins.
type extensionOptions struct {
	attach, offer []string
	accept        bool
	trust         trustFlag
	packets       string // "", "all" or "plugins"
}

// packetKinds are what --packets takes.
var packetKinds = []string{"all", "plugins"}

func (o *extensionOptions) addFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringArrayVar(&o.attach, "plugin", nil, "attach a plugin to each connection, here only: `FILE.wasm[,name=value...]`; repeatable")
	f.StringArrayVar(&o.offer, "offer-plugin", nil, "offer a plugin to each peer, and run it when both agree: `FILE.wasm[,name=value...]`; repeatable")
	f.BoolVar(&o.accept, "accept-plugins", false, "run plugins of the peer that the trust file allows (see 'quiver help plugin trust')")
	o.trust.add(cmd)
	f.StringVar(&o.packets, "packets", "", "print each packet as it passes, with its frames; `WHICH` is all, or plugins: those that plugins have to do with")
	f.Lookup("packets").NoOptDefVal = "all"
}

// apply makes conf extend its connections. What becomes of plugins is told on talk.
func (o *extensionOptions) apply(cmd *cobra.Command, conf *quic.Config, talk io.Writer) (err error) {
	if err := o.showPackets(conf, talk); err != nil {
		return usage(cmd, err)
	}
	h := &plugin.Host{Logger: slog.New(newPluginTalk(talk))}
	if h.Attach, err = loadUses(cmd.Context(), o.attach); err != nil {
		return err
	}
	for i, u := range h.Attach {
		if m := u.Plugin.(*plugin.Module).Manifest(); m.Mode != hook.Local {
			err := fmt.Errorf("--plugin %s: both ends run it together (mode %v), so the peer must agree", o.attach[i], m.Mode)
			return &status{exitUsage, err, "offer it with --offer-plugin, and let the other end --accept-plugins"}
		}
	}
	if h.Offer, err = loadUses(cmd.Context(), o.offer); err != nil {
		return err
	}
	if o.accept {
		if h.Accept, h.Cache, err = o.policy(); err != nil {
			return err
		}
		if h.Runtime, err = plugin.NewRuntime(plugin.RuntimeConfig{CacheDir: h.Cache.Compiled()}); err != nil {
			return err
		}
		if _, err := h.Warm(cmd.Context()); err != nil {
			return err
		}
	}
	if len(h.Attach)+len(h.Offer) == 0 && !o.accept {
		return nil
	}
	if err := h.Check(); err != nil {
		return err
	}
	conf.Extensions = h
	return nil
}

// policy is what the trust file says, and where plugins of peers are kept.
func (o *extensionOptions) policy() (*plugin.Policy, *cache.Cache, error) {
	trust, err := o.trust.load()
	if err != nil {
		return nil, nil, err
	}
	dir, err := cache.DefaultDir()
	if err != nil {
		return nil, nil, err
	}
	c, err := cache.Open(dir, cache.Options{})
	if err != nil {
		return nil, nil, err
	}
	return &plugin.Policy{Trust: trust}, c, nil
}

// loadUses reads FILE.wasm[,name=value...].
func loadUses(ctx context.Context, args []string) ([]plugin.Use, error) {
	var uses []plugin.Use
	for _, arg := range args {
		parts := strings.Split(arg, ",")
		m, err := loadPlugin(ctx, parts[0])
		if err != nil {
			return nil, err
		}
		settings, err := parseSettings(parts[1:])
		if err != nil {
			return nil, &status{exitUsage, fmt.Errorf("%s: %w", arg, err), "settings follow the file, as in fec,policy=full,k=20"}
		}
		uses = append(uses, plugin.Use{Plugin: m, Settings: settings})
	}
	return uses, nil
}

// showPackets lets conf print packets.
func (o *extensionOptions) showPackets(conf *quic.Config, talk io.Writer) error {
	switch o.packets {
	case "":
		return nil
	case "all", "plugins":
	default:
		return fmt.Errorf("--packets %q, want %s", o.packets, strings.Join(packetKinds, " or "))
	}
	var lock sync.Mutex
	only := o.packets == "plugins"
	conf.QLog = func(client bool) io.WriteCloser { return packetlog.New(talk, &lock, "", only) }
	return nil
}

// pluginTalk is a slog.Handler that tells people what becomes of plugins: a line each.
type pluginTalk struct {
	mu *sync.Mutex
	w  io.Writer
}

func newPluginTalk(w io.Writer) *pluginTalk { return &pluginTalk{new(sync.Mutex), w} }

// Enabled implements slog.Handler.
func (t *pluginTalk) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelInfo
}

// Handle writes "message: value, key value".
func (t *pluginTalk) Handle(_ context.Context, r slog.Record) error {
	var parts []string
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "plugin", "id", "err", "reason":
			parts = append(parts, a.Value.String())
		default:
			parts = append(parts, a.Key+" "+a.Value.String())
		}
		return true
	})
	line := r.Message
	if len(parts) > 0 {
		line += ": " + strings.Join(parts, ", ")
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	_, err := fmt.Fprintln(t.w, packetlog.Plain(line)) // names and reasons are the peer's
	return err
}

// WithAttrs implements slog.Handler; nothing of ours uses it.
func (t *pluginTalk) WithAttrs([]slog.Attr) slog.Handler { return t }

// WithGroup implements slog.Handler; nothing of ours uses it.
func (t *pluginTalk) WithGroup(string) slog.Handler { return t }

// completePluginUse completes the FILE.wasm of --plugin and --offer-plugin.
func completePluginUse(cmd *cobra.Command, _ []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return completePlugin(cmd, nil, typed)
}

// printExtensions says what each extension of a connection did.
func printExtensions(w io.Writer, list []hook.ExtensionStats) {
	for i := range list {
		x := &list[i]
		fmt.Fprintf(w, "  plugin   %s %s: %d frames sent, %s; %d received; %d packets recovered, %d by the peer; %d calls, %d faults",
			x.ID, x.Version, x.FramesWritten, sizeText(int64(x.BytesWritten)), x.FramesReceived, x.Recovered, x.Delivered, x.Calls, x.Faults)
		if x.Detached {
			fmt.Fprintf(w, "; detached: %v", x.Why)
		}
		for _, m := range x.Metrics {
			fmt.Fprintf(w, "; %s %d%s", m.Name, m.Value, metricUnit(m.Unit))
		}
		fmt.Fprintln(w)
	}
}

func metricUnit(unit string) string {
	if unit == "" {
		return ""
	}
	return " " + unit
}
