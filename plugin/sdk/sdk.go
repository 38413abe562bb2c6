// Package sdk holds what the author of a plugin begins with: a header and make rules for C, a module for AssemblyScript, and a template for each
// kind of plugin, in every language that has one.
package sdk

import (
	"embed"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

//go:embed c as templates
var files embed.FS

// A Language is one in which plugins are written.
type Language struct {
	Name  string
	dir   string   // of what all its templates share; "" = nothing
	need  string   // to build
	setup string   // command to run first in a new directory; "" = none
	Files []string // that only this language has, to tell a directory's language by
}

// Languages lists the languages.
var Languages = []Language{
	{Name: "c", dir: "c", need: "clang and lld", Files: []string{"plugin.c"}},
	{Name: "assemblyscript", dir: "as", need: "npm", setup: "npm install", Files: []string{"plugin.ts"}},
	{Name: "wat", need: "nothing but quiver", Files: []string{"plugin.wat"}},
}

// Need says what building plugins of the language takes.
func (l *Language) Need() string { return l.need }

// Setup is a command to run in the directory of a new plugin before it is built; "" = none.
func (l *Language) Setup() string { return l.setup }

// Kinds lists the kinds of plugin that the language has a template for.
func (l *Language) Kinds() []string {
	entries, err := files.ReadDir(path.Join("templates", l.Name))
	if err != nil {
		panic("BUG: language without templates: " + err.Error())
	}
	var kinds []string
	for _, e := range entries {
		kinds = append(kinds, e.Name())
	}
	return kinds
}

// Find returns the language of that name. The error lists the languages.
func Find(name string) (*Language, error) {
	var have []string
	for i := range Languages {
		if Languages[i].Name == name {
			return &Languages[i], nil
		}
		have = append(have, Languages[i].Name)
	}
	return nil, fmt.Errorf("no templates in %q, have %s", name, strings.Join(have, ", "))
}

// Create makes a plugin in dir, which must be empty or not exist: the template of a kind, with what it needs to be built. id is a reverse domain
// name; its last part names the plugin. It returns the files that it wrote, relative to dir. When it fails, it leaves nothing behind but dir.
func Create(dir string, l *Language, kind, id string) ([]string, error) {
	if !slices.Contains(l.Kinds(), kind) {
		return nil, fmt.Errorf("no template for %q in %s, have %s", kind, l.Name, strings.Join(l.Kinds(), ", "))
	}
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return nil, fmt.Errorf("%s is not empty, want a new directory", dir)
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	content, err := collect(l, kind)
	if err != nil {
		return nil, err
	}
	name := id[strings.LastIndexByte(id, '.')+1:]
	var written []string
	for _, f := range content {
		text := strings.NewReplacer("{{ID}}", id, "{{NAME}}", name).Replace(f.text)
		if err := writeNew(filepath.Join(dir, f.name), text); err != nil {
			for _, w := range written {
				os.Remove(filepath.Join(dir, w))
			}
			return nil, err
		}
		written = append(written, f.name)
	}
	return written, nil
}

// file is one file of a new plugin.
type file struct{ name, text string }

// collect gathers the files of a template: its own, the manifest of its kind, and what its language shares.
func collect(l *Language, kind string) ([]file, error) {
	var all []file
	add := func(from, as string) error {
		b, err := files.ReadFile(from)
		all = append(all, file{as, string(b)})
		return err
	}
	if err := add(path.Join("templates/manifest", kind+".json"), "manifest.json"); err != nil {
		return nil, err
	}
	for _, dir := range []string{path.Join("templates", l.Name, kind), l.dir} {
		if dir == "" {
			continue
		}
		entries, err := fs.ReadDir(files, dir)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if err := add(path.Join(dir, e.Name()), e.Name()); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// writeNew writes a file that must not exist.
func writeNew(name, text string) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if e := f.Close(); err == nil {
		err = e
	}
	return err
}

// Header returns a file that plugins of a language include, such as "c/pq.h".
func Header(name string) ([]byte, error) { return files.ReadFile(name) }
