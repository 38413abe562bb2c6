package interop

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/seed51309289/quiver/interop/check"
)

// factsFileName is beside output.txt: what is needed to judge the run again.
const factsFileName = "run.json"

// maxFacts bounds the files recorded of one download directory; a peer may write as many as it likes.
const maxFacts = 10_000

// facts are what a saved run needs to be judged again. The served files follow from the seed. Of the downloaded ones only
// size and hash are kept.
type facts struct {
	Test      string     `json:"test"`
	Client    string     `json:"client"`
	Server    string     `json:"server"`
	Seed      Seed       `json:"seed"` // of this job
	Sizes     []int      `json:"sizes"`
	NameLen   int        `json:"name_length,omitempty"`
	Files     []string   `json:"files"`
	Downloads []download `json:"downloads"`
}

type download struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

func saveFacts(dir string, j *JobInfo, work *workDir, files []string) error {
	f := facts{
		Test: j.Case.Name, Client: j.Client.Name, Server: j.Server.Name, Seed: j.Seed, Sizes: j.Case.Files, NameLen: j.Case.NameLen, Files: files,
		Downloads: []download{},
	}
	entries, err := os.ReadDir(work.downloads)
	if err != nil {
		return err
	}
	for _, e := range entries[:min(len(entries), maxFacts)] {
		if !e.Type().IsRegular() {
			continue
		}
		d, err := hashFile(filepath.Join(work.downloads, e.Name()))
		if err != nil {
			return err
		}
		f.Downloads = append(f.Downloads, d)
	}
	return writeJSON(filepath.Join(dir, factsFileName), f)
}

func hashFile(path string) (download, error) {
	f, err := os.Open(path)
	if err != nil {
		return download{}, err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	return download{filepath.Base(path), n, hex.EncodeToString(h.Sum(nil))}, err
}

// CheckSaved judges the run saved in dir again, from its traces, key logs and recorded facts. judge nil means check.Judge.
func CheckSaved(dir string, judge func(check.Input) check.Verdict) (*Result, error) {
	data, err := os.ReadFile(filepath.Join(dir, factsFileName))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%s holds no %s; want the directory of one run, LOGDIR/SERVER_CLIENT/TEST", dir, factsFileName)
	}
	if err != nil {
		return nil, err
	}
	var f facts
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, factsFileName), err)
	}
	if judge == nil {
		judge = check.Judge
	}
	work, err := newWorkDir(f.Seed, 1)
	if err != nil {
		return nil, err
	}
	defer work.remove()
	if err := f.restore(work); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, factsFileName), err)
	}
	started := time.Now()
	v := judge(check.Input{Test: f.Test, Profile: check.Compat, Dir: dir, WWW: work.www, Downloads: work.downloads, Files: f.Files})
	return &Result{
		Client: f.Client, Server: f.Server, Test: f.Test, Repetition: 1, Status: Status(v.Result), Reason: v.Reason,
		Evidence: evidenceOf(v.Evidence), Goodput: v.Goodput, Log: dir, Started: started, Duration: time.Since(started),
	}, nil
}

// restore makes the served files again from the seed, and for each downloaded file the same bytes when its hash is that of
// the served one, else zeros of its size, which differ from it as the original did.
func (f *facts) restore(work *workDir) error {
	names, err := makeFiles(work.www, f.Sizes, f.NameLen, f.Seed)
	if err != nil {
		return err
	}
	if !slices.Equal(names, f.Files) {
		return errors.New("file names do not follow from the seed: made by another version of this program")
	}
	for _, d := range f.Downloads {
		if d.Name != filepath.Base(d.Name) || d.Size < 0 {
			return fmt.Errorf("download %q of %d bytes is no file of a download directory", d.Name, d.Size)
		}
		if err := f.restoreDownload(work, d); err != nil {
			return err
		}
	}
	return nil
}

func (f *facts) restoreDownload(work *workDir, d download) error {
	to := filepath.Join(work.downloads, d.Name)
	if slices.Contains(f.Files, d.Name) {
		served, err := hashFile(filepath.Join(work.www, d.Name))
		if err != nil {
			return err
		}
		if served == d {
			return os.Link(filepath.Join(work.www, d.Name), to)
		}
	}
	if err := os.WriteFile(to, nil, 0o644); err != nil {
		return err
	}
	return os.Truncate(to, d.Size)
}
