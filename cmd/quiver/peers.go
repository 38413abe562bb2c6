package main

import (
	"context"
	"io"
	"strings"

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
