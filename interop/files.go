package interop

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// makeFiles writes one file of random bytes per size into dir and returns their names in order: words, or so many letters
// as nameLen says. Names and bytes follow from seed alone.
func makeFiles(dir string, sizes []int, nameLen int, seed Seed) ([]string, error) {
	names := slugs(seed.source("file names"), len(sizes))
	if nameLen > 0 {
		names = letters(seed.source("file names"), len(sizes), nameLen)
	}
	bytes := seed.source("file bytes")
	for i, name := range names {
		if err := makeFile(filepath.Join(dir, name), int64(sizes[i]), bytes); err != nil {
			return nil, fmt.Errorf("test file: %w", err)
		}
	}
	return names, nil
}

func makeFile(path string, size int64, bytes io.Reader) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	_, err = io.CopyN(w, bytes, size)
	if err == nil {
		err = w.Flush()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}
