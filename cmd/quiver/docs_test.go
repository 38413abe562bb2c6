package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// documents are the texts that a reader meets first.
func documents(t *testing.T) map[string]string {
	t.Helper()
	texts := map[string]string{}
	for _, pattern := range []string{"../../*.md", "../../docs/*.md"} {
		paths, _ := filepath.Glob(pattern)
		for _, path := range paths {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			texts[path] = string(b)
		}
	}
	if len(texts) < 4 {
		t.Fatalf("%d documents found, want README, CHANGELOG and those of docs", len(texts))
	}
	return texts
}

// words splits a command line as far as the documents need it: single quotes, and no comment.
func words(line string) []string {
	line, _, _ = strings.Cut(line, " #")
	var out []string
	for _, m := range regexp.MustCompile(`'([^']*)'|(\S+)`).FindAllStringSubmatch(line, -1) {
		out = append(out, m[1]+m[2])
	}
	return out
}

func TestCommandLinesInDocumentsAreUnderstood(t *testing.T) {
	found := 0
	for path, text := range documents(t) {
		for line := range strings.Lines(text) {
			line = strings.TrimPrefix(line, "go run ./cmd/")
			if !strings.HasPrefix(line, "quiver ") || strings.HasPrefix(line, "quiver help ") {
				continue
			}
			found++
			root := newRoot()
			cmd, rest, err := root.Find(words(line)[1:])
			if err == nil {
				err = cmd.ParseFlags(rest)
			}
			if err == nil && cmd.Args != nil {
				err = cmd.Args(cmd, cmd.Flags().Args())
			}
			if err != nil {
				t.Errorf("%s: %s: %v", path, strings.TrimSpace(line), err)
			}
		}
	}
	if found < 8 {
		t.Errorf("%d command lines found, want those of README and docs/peers.md: the test looks for the wrong lines", found)
	}
}

func TestLinksInDocumentsLeadSomewhere(t *testing.T) {
	for path, text := range documents(t) {
		for _, m := range regexp.MustCompile(`\]\(([^)#:]+)\)`).FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), m[1])); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
}
