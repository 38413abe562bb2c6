package main

import (
	"bytes"
	"context"
	"fmt"
	"go/format"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// eachFile calls f with every Go file below root, by its path from there.
func eachFile(root string, f func(path string, text []byte) error) error {
	return filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && p != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(p, ".go") {
			return nil
		}
		text, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		return f(filepath.ToSlash(rel), text)
	})
}

func runFmt(_ context.Context, c *config, out io.Writer) error {
	wrong := 0
	err := eachFile(c.root, func(path string, text []byte) error {
		want, err := format.Source(text)
		switch {
		case err != nil:
			wrong++
			fmt.Fprintf(out, "    %s: %v\n", path, err)
		case !bytes.Equal(text, want):
			wrong++
			fmt.Fprintf(out, "    %s: run gofmt -w %s\n", path, path)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if wrong > 0 {
		return fmt.Errorf("%d files are not formatted", wrong)
	}
	return nil
}

func runDeviates(_ context.Context, c *config, out io.Writer) error {
	return eachFile(c.root, func(path string, text []byte) error {
		for _, d := range deviations(string(text)) {
			fmt.Fprintf(out, "    %s:%d: %s\n", path, d.line, d.text)
		}
		return nil
	})
}

type deviation struct {
	line int
	text string
}

// deviations returns the comments that begin with DEVIATES, each in one line.
func deviations(text string) []deviation {
	var out []deviation
	open, n := false, 0
	for line := range strings.Lines(text) {
		n++
		_, comment, ok := strings.Cut(line, "//")
		comment = strings.TrimSpace(comment)
		starts := strings.HasPrefix(comment, "DEVIATES ")
		switch {
		case ok && starts:
			out = append(out, deviation{n, strings.TrimPrefix(comment, "DEVIATES ")})
		case ok && open && comment != "" && strings.HasPrefix(strings.TrimSpace(line), "//"):
			out[len(out)-1].text += " " + comment
		default:
			open = false
			continue
		}
		open = true
	}
	return out
}
