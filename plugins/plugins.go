// Package plugins holds the plugins that come with Quiver, as files: WebAssembly packages, built from the sources beside them.
package plugins

import (
	"embed"
	"fmt"
	"path"
	"slices"
	"strings"
)

//go:embed */*.wasm
var files embed.FS

// Names lists the plugins, sorted.
func Names() []string {
	all, err := files.ReadDir(".")
	if err != nil {
		panic("BUG: no plugins: " + err.Error())
	}
	var names []string
	for _, e := range all {
		if _, err := files.ReadFile(file(e.Name())); err == nil {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names
}

func file(name string) string { return path.Join(name, name+".wasm") }

// File returns the package of a plugin. The error lists those that there are.
func File(name string) ([]byte, error) {
	if b, err := files.ReadFile(file(name)); err == nil {
		return b, nil
	}
	return nil, fmt.Errorf("no plugin %q comes with quiver, have %s", name, strings.Join(Names(), ", "))
}
