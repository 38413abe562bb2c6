package main

import (
	"context"
	"encoding/json"
	"io"
	"os/exec"
	"strings"

	"github.com/seed51309289/quiver/interop"
	"github.com/seed51309289/quiver/peers"
)

// installPeer builds a foreign program into the user's cache: a Go package@version, or embedded:NAME for one whose source
// is part of this program.
func installPeer(ctx context.Context, pkg string, log io.Writer) (string, error) {
	if name, ok := strings.CutPrefix(pkg, "embedded:"); ok {
		return peers.BuildEmbedded(ctx, name, "", log)
	}
	return peers.Install(ctx, pkg, "", log)
}

// foundPeers are the implementations that are registered only where their programs are. Each is an entry of a registry file, in
// which FOUND stands for what was found.
var foundPeers = []struct {
	name  string
	find  func() string
	entry string
}{
	{
		name: "ngtcp2",
		find: func() string { return peers.NGTCP2Root("") },
		entry: `{
			"image": "ghcr.io/ngtcp2/ngtcp2-interop:latest", "url": "https://github.com/ngtcp2/ngtcp2", "role": "both", "speaks": ["h3"],
			"exec": {
				"client": {"install": "embedded:ngtcp2", "run": ["{bin}", "client", "-root", FOUND, "-downloads", "{downloads}", "-qlog", "{qlog}", "{requests}"]},
				"server": {"install": "embedded:ngtcp2", "run": ["{bin}", "server", "-root", FOUND, "-listen", "{listen}", "-certs", "{certs}", "-www", "{www}", "-qlog", "{qlog}"]}
			}
		}`,
	},
	{
		name: "chromium",
		find: findBrowser,
		entry: `{
			"url": "https://www.chromium.org/quic/", "role": "client", "speaks": ["h3"],
			"exec": {
				"client": {"install": "embedded:chromium", "run": ["{bin}", "-program", FOUND, "-certs", "{certs}", "-downloads", "{downloads}", "-logs", "{logs}", "{requests}"]}
			}
		}`,
	},
}

// findBrowser returns the path of Chromium, "" if there is none.
func findBrowser() string {
	path, err := exec.LookPath("chromium")
	if err != nil {
		return ""
	}
	return path
}

// loadRegistry returns the built-in registry, what was found on this machine, and the files, each laid over those before.
func loadRegistry(files []string) (*interop.Registry, error) {
	r := interop.DefaultRegistry()
	for _, p := range foundPeers {
		found := p.find()
		if found == "" {
			continue
		}
		text, err := json.Marshal(found)
		if err != nil {
			return nil, err
		}
		entry := `{"` + p.name + `": ` + strings.ReplaceAll(p.entry, "FOUND", string(text)) + `}`
		if err := r.Overlay("found on this machine", []byte(entry)); err != nil {
			return nil, err
		}
	}
	return r, r.Load(files)
}
