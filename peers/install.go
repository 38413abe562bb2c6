package peers

import (
	"context"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
)

// EmbeddedPrefix marks a name for [Install] as one of [Embedded] rather than a package: "embedded:quicgo".
const EmbeddedPrefix = "embedded:"

var packageAtVersion = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._~/-]*@v[0-9][A-Za-z0-9.+-]*$`)

// Install returns the path of the program that pkgAtVersion, such as "github.com/quic-go/quic-go/interop/client@v0.65.0", builds to. It
// is built with "go install" on the first call and found in cacheDir on later ones, which start no process. An empty cacheDir means
// quiver/peers in the user's cache directory. Progress is written to log, a line each. Of several processes that install the same
// program, one builds and the others wait.
//
// The user's Go settings (GOPROXY, GONOSUMDB, GOTOOLCHAIN and so on) hold.
func Install(ctx context.Context, pkgAtVersion, cacheDir string, log io.Writer) (binary string, err error) {
	if name, ok := strings.CutPrefix(pkgAtVersion, EmbeddedPrefix); ok {
		return BuildEmbedded(ctx, name, cacheDir, log)
	}
	if !packageAtVersion.MatchString(pkgAtVersion) || strings.Contains(pkgAtVersion, "..") {
		return "", fmt.Errorf("peer %q is not a package at a fixed version, want one such as example.org/module/cmd/server@v1.2.3", pkgAtVersion)
	}
	b := build{
		what: pkgAtVersion,
		key:  strings.ReplaceAll(pkgAtVersion, "/", "+"),
		args: func(string) []string { return []string{"install", pkgAtVersion} },
		log:  log,
	}
	return b.cached(ctx, cacheDir)
}

// defaultCache returns where peers are kept unless someone says otherwise.
func defaultCache() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no directory to keep peers in: %w; set XDG_CACHE_HOME or name a cache directory", err)
	}
	return dir + "/quiver/peers", nil
}
