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
	src, err := fs.Sub(sources, "_src/"+name)
	if err != nil {
		return "", err
	}
	hash, err := hashOf(src)
	if err != nil {
		return "", err
	}
	b := build{
		what: name,
		key:  name + "-" + hash,
		args: func(string) []string { return []string{"install", "."} },
		fill: func(dir string) error { return unpack(src, dir) },
		log:  log,
	}
	return b.cached(ctx, cacheDir)
}

// hashOf returns a short name for the contents of src.
func hashOf(src fs.FS) (string, error) {
	h := sha256.New()
	err := eachFile(src, func(name string, data []byte) error {
		fmt.Fprintf(h, "%s %d\n", name, len(data))
		h.Write(data)
		return nil
	})
	return hex.EncodeToString(h.Sum(nil)[:6]), err
}

// unpack writes the files of src to dir, under the names that the go command wants.
func unpack(src fs.FS, dir string) error {
	return eachFile(src, func(name string, data []byte) error {
		return os.WriteFile(filepath.Join(dir, strings.TrimSuffix(name, ".txt")), data, 0o644)
	})
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
