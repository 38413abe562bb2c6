package interop

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"sync"
)

// Files at the top of a log directory.
const (
	resultFileName  = "result.json"
	journalFileName = "results.jsonl"
	pageFileName    = "index.html"
)

// A Store is the log directory of one run. Each result goes to results.jsonl the moment it is known, so a run that dies
// loses no finished job. It is safe for concurrent use.
type Store struct {
	Dir string

	mu      sync.Mutex // guards journal
	journal *os.File
}

// NewStore makes the log directory. It is an error when it exists: nothing is ever overwritten.
func NewStore(dir string) (*Store, error) {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return nil, fmt.Errorf("log directory: %w", err)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("log directory %s: %w, and results are not overwritten; choose another with --log-dir", dir, fs.ErrExist)
		}
		return nil, fmt.Errorf("log directory: %w", err)
	}
	journal, err := os.OpenFile(filepath.Join(dir, journalFileName), os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("log directory: %w", err)
	}
	return &Store{Dir: dir, journal: journal}, nil
}

// PageURL returns the file URL of index.html.
func (s *Store) PageURL() (string, error) {
	abs, err := filepath.Abs(filepath.Join(s.Dir, pageFileName))
	if err != nil {
		return "", err
	}
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(abs)}).String(), nil
}

// preparationLog is where installing and compliance checks write.
func (s *Store) preparationLog() string { return filepath.Join(s.Dir, "preparation.txt") }

// Append writes one result as a line of results.jsonl.
func (s *Store) Append(res *Result) error {
	line, err := json.Marshal(res)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err = s.journal.Write(append(line, '\n'))
	return err
}

// Finish writes result.json and index.html and closes the store. Each file appears whole or not at all.
func (s *Store) Finish(r *Report) error {
	data, err := r.JSON()
	if err != nil {
		return err
	}
	if err := WriteFileAtomic(filepath.Join(s.Dir, resultFileName), append(data, '\n')); err != nil {
		return err
	}
	page, err := r.Page()
	if err != nil {
		return err
	}
	if err := WriteFileAtomic(filepath.Join(s.Dir, pageFileName), page); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.journal.Close()
}

// WriteFileAtomic writes data to a new file beside path and renames it, so that a reader never sees half a file.
func WriteFileAtomic(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}
