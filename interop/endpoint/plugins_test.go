package endpoint

import (
	"log/slog"
	"testing"

	"github.com/seed51309289/quiver/plugin"
	"github.com/seed51309289/quiver/plugins"
)

func TestPluginsOfARunAreAttachedOrOffered(t *testing.T) {
	for _, c := range []struct {
		role           string
		plugins        []string
		exchange       bool
		attach, offers int
		accepts        bool
	}{
		{role: "client"},
		{role: "server"},
		{role: "client", exchange: true, accepts: true},
		{role: "server", exchange: true, offers: 1},
		{role: "client", plugins: []string{"telemetry", "cc-cubic", "fec"}, attach: 2, accepts: true},
		{role: "server", plugins: []string{"telemetry", "cc-cubic", "fec"}, exchange: true, attach: 2, offers: 1},
	} {
		e := Env{Role: c.role, Plugins: c.plugins}
		x, err := e.extensions(t.Context(), &testCase{exchange: c.exchange}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		h, ok := x.(*plugin.Host)
		if plain := len(c.plugins) == 0 && !c.exchange; plain != (x == nil) {
			t.Errorf("%+v: extensions %v", c, x)
		} else if plain {
			continue
		}
		if !ok || len(h.Attach) != c.attach || len(h.Offer) != c.offers || (h.Accept != nil) != c.accepts {
			t.Errorf("%+v: got %+v", c, h)
		}
	}
}

func TestAnEndpointTrustsWhatComesWithQuiverOnly(t *testing.T) {
	trust, err := shippedOnly()
	if err != nil {
		t.Fatal(err)
	}
	if len(trust.Pins) != len(plugins.Names()) || len(trust.Keys) != 0 {
		t.Errorf("%d pins and %d keys, want a pin for each of %v and no key", len(trust.Pins), len(trust.Keys), plugins.Names())
	}
	e := Env{Role: "client", Plugins: []string{"tetrys"}}
	if _, err := e.extensions(t.Context(), &testCase{}, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a plugin that there is not was loaded")
	}
}
