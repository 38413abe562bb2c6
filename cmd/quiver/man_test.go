package main

import (
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

var update = flag.Bool("update", false, "write docs/man anew")

const manDir = "../../docs/man"

func TestManualPagesAreUpToDate(t *testing.T) {
	pages := manPages(newRoot())
	if *update {
		if err := os.RemoveAll(manDir); err != nil {
			t.Fatal(err)
		}
		if code, _, said := quiver(t, "man", manDir); code != exitDone {
			t.Fatal(said)
		}
	}
	var there []string
	paths, _ := filepath.Glob(manDir + "/*")
	for _, path := range paths {
		there = append(there, filepath.Base(path))
		page, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if want := pages[filepath.Base(path)]; string(page) != want {
			t.Errorf("%s is not what the command says: run go test ./cmd/quiver -run Manual -update", path)
		}
	}
	if want := slices.Sorted(maps.Keys(pages)); !slices.Equal(there, want) {
		t.Errorf("pages are %v, want %v: run go test ./cmd/quiver -run Manual -update", there, want)
	}
}

func TestRoffKeepsTextFromLookingLikeRequests(t *testing.T) {
	if got, want := roff(".part\n'x' a-b \\n"), "\\&.part\n\\&'x' a\\-b \\en"; got != want {
		t.Errorf("roff = %q, want %q", got, want)
	}
}
