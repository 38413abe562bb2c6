package peers

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/seed51309289/quiver/peers/perf"
)

// sources holds one directory for each embedded peer. Their go.mod and go.sum end in .txt here, because a directory with a go.mod is not
// part of this module and so could not be embedded.
//
//go:embed _src
var sources embed.FS

// Embedded returns the names of the peers whose sources are part of this package, sorted.
func Embedded() []string {
	entries, err := sources.ReadDir("_src")
	if err != nil {
		panic("BUG: " + err.Error())
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// BuildEmbedded returns the path of the embedded peer of that name, which it builds on the first call; cacheDir and log are as for Install.
func BuildEmbedded(ctx context.Context, name, cacheDir string, log io.Writer) (binary string, err error) {
	if !slices.Contains(Embedded(), name) {
		return "", fmt.Errorf("no embedded peer %q, there are %s", name, strings.Join(Embedded(), ", "))
	}
	parts, err := partsOf(name)
	if err != nil {
		return "", err
	}
	hash, err := hashOf(parts)
	if err != nil {
		return "", err
	}
	b := build{
		what: name,
		key:  name + "-" + hash,
		args: func(string) []string { return []string{"install", "."} },
		fill: func(dir string) error { return unpack(parts, dir) },
		log:  log,
	}
	return b.cached(ctx, cacheDir)
}

// part is a package of an embedded peer: its files, and the directory they go to.
type part struct {
	dir string
	fs  fs.FS
}

// partsOf returns what the peer is made of. Those that are measured share the load, which is a package of this module.
func partsOf(name string) ([]part, error) {
	src, err := fs.Sub(sources, "_src/"+name)
	parts := []part{{".", src}}
	if strings.HasPrefix(name, "bench") {
		parts = append(parts, part{"perf", perf.Sources})
	}
	return parts, err
}

// hashOf returns a short name for the contents of parts.
func hashOf(parts []part) (string, error) {
	h := sha256.New()
	for _, p := range parts {
		err := eachFile(p.fs, func(name string, data []byte) error {
			fmt.Fprintf(h, "%s/%s %d\n", p.dir, name, len(data))
			h.Write(data)
			return nil
		})
		if err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:6]), nil
}

// unpack writes the files of parts below dir, under the names that the go command wants.
func unpack(parts []part, dir string) error {
	for _, p := range parts {
		if err := os.MkdirAll(filepath.Join(dir, p.dir), 0o755); err != nil {
			return err
		}
		err := eachFile(p.fs, func(name string, data []byte) error {
			return os.WriteFile(filepath.Join(dir, p.dir, strings.TrimSuffix(name, ".txt")), data, 0o644)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// eachFile calls do for the files directly in src, in the order of their names.
func eachFile(src fs.FS, do func(name string, data []byte) error) error {
	entries, err := fs.ReadDir(src, ".")
	if err != nil {
		return err
	}
	for _, e := range entries {
		data, err := fs.ReadFile(src, e.Name())
		if err != nil {
			return err
		}
		if err := do(e.Name(), data); err != nil {
			return err
		}
	}
	return nil
}
