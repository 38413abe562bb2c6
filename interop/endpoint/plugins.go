package endpoint

import (
	"context"
	"fmt"
	"log/slog"
	"slices"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/plugin"
	"github.com/seed51309289/quiver/plugin/pack"
	"github.com/seed51309289/quiver/plugins"
	"github.com/seed51309289/quiver/quic"
)

// exchanged is the plugin that a server offers in the test of that.
const exchanged = "fec"

// extensions returns what extends the connections of a test: the plugins of e, and in plugin-exchange one that the server offers; nil = nothing.
// Of a peer it takes those that come with quiver, and no others.
func (e *Env) extensions(ctx context.Context, tc *testCase, log *slog.Logger) (quic.Extensions, error) {
	if len(e.Plugins) == 0 && !tc.exchange {
		return nil, nil
	}
	h := &plugin.Host{Logger: log}
	names := slices.Clone(e.Plugins)
	if tc.exchange && e.Role == "server" && !slices.Contains(names, exchanged) {
		names = append(names, exchanged)
	}
	for _, name := range names {
		b, err := plugins.File(name)
		if err != nil {
			return nil, err
		}
		p, err := pack.Read(name+".wasm", b, len(b))
		if err != nil {
			return nil, err
		}
		if p.Manifest.Mode != hook.Local && e.Role == "client" {
			continue // it comes from the server
		}
		m, err := plugin.Load(ctx, p.File, b, plugin.Policy{})
		if err != nil {
			return nil, err
		}
		use := plugin.Use{Plugin: m, Settings: offered[name]}
		if p.Manifest.Mode == hook.Local {
			h.Attach = append(h.Attach, use)
		} else {
			h.Offer = append(h.Offer, use)
		}
	}
	if e.Role == "client" {
		trust, err := shippedOnly()
		if err != nil {
			return nil, err
		}
		h.Accept = &plugin.Policy{Trust: trust}
	}
	if err := h.Check(); err != nil {
		return nil, err
	}
	return h, nil
}

// offered are settings for plugins that servers offer: what a test wants to see happens however little is lost.
var offered = map[string]map[string]string{"fec": {"policy": "full"}}

// shippedOnly trusts the very files that come with quiver.
func shippedOnly() (*pack.Trust, error) {
	t := &pack.Trust{}
	for _, name := range plugins.Names() {
		b, err := plugins.File(name)
		if err != nil {
			return nil, err
		}
		p, err := pack.Read(name+".wasm", b, len(b))
		if err != nil {
			return nil, fmt.Errorf("plugin %s that comes with quiver: %w", name, err)
		}
		t.Pins = append(t.Pins, pack.Pin{Digest: p.Digest, Ceiling: pack.Ceiling{Permissions: p.Manifest.Permissions, Payload: p.Manifest.Payload}})
	}
	return t, nil
}
