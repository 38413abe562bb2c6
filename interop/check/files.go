package check

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

var filesArrived = criterion{
	name: "downloaded files",
	want: "exactly the requested files with the bytes that were served",
	check: func(r *run) finding {
		if len(r.in.Files) == 0 {
			return finding{observed: "the run names no files to expect"}
		}
		wrong, total, err := compareFiles(r.in)
		switch {
		case err != nil:
			return finding{observed: "the downloads cannot be read: " + err.Error()}
		case len(wrong) > 0:
			return finding{observed: describeWrong(wrong, len(r.in.Files))}
		}
		return finding{ok: true, observed: fmt.Sprintf("all %d requested, %d bytes", len(r.in.Files), total)}
	},
}

// compareFiles returns what is wrong with the downloads, one phrase for each
// file, and how many bytes are right.
func compareFiles(in Input) (wrong []string, total int64, err error) {
	found, err := regularFiles(in.Downloads)
	if err != nil {
		return nil, 0, err
	}
	for _, name := range in.Files {
		if !found[name] {
			wrong = append(wrong, name+" is missing")
			continue
		}
		delete(found, name)
		n, difference, err := compareFile(filepath.Join(in.WWW, name), filepath.Join(in.Downloads, name))
		if err != nil {
			return nil, 0, err
		}
		if difference != "" {
			wrong = append(wrong, name+" "+difference)
		}
		total += n
	}
	var extra []string
	for name := range found {
		extra = append(extra, fmt.Sprintf("%q was not requested", name))
	}
	slices.Sort(extra)
	return append(wrong, extra...), total, nil
}

// regularFiles returns the names of the files directly in dir; directories are ignored.
func regularFiles(dir string) (map[string]bool, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	names := make(map[string]bool)
	for _, e := range entries {
		if e.Type().IsRegular() {
			names[e.Name()] = true
		}
	}
	return names, nil
}

// compareFile compares a download with what was served.
func compareFile(served, got string) (size int64, difference string, err error) {
	want, err := os.Open(served)
	if err != nil {
		return 0, "", fmt.Errorf("served file: %w", err)
	}
	defer want.Close()
	have, err := os.Open(got)
	if errors.Is(err, fs.ErrPermission) {
		return 0, "cannot be opened", nil
	}
	if err != nil {
		return 0, "", err
	}
	defer have.Close()
	wantSize, haveSize := sizeOf(want), sizeOf(have)
	at, err := firstDifference(want, have)
	switch {
	case err != nil:
		return 0, "", err
	case at >= 0 && at < min(wantSize, haveSize):
		return 0, fmt.Sprintf("differs at offset %d (it has %d bytes, want %d)", at, haveSize, wantSize), nil
	case wantSize != haveSize:
		return 0, fmt.Sprintf("has %d bytes, want %d (what is there is right)", haveSize, wantSize), nil
	}
	return haveSize, "", nil
}

func sizeOf(f *os.File) int64 {
	info, err := f.Stat()
	if err != nil {
		return 0
	}
	return info.Size()
}

// firstDifference returns the first offset at which a and b differ, the end of
// the shorter one included, or -1.
func firstDifference(a, b io.Reader) (int64, error) {
	const block = 64 << 10
	bufA, bufB := make([]byte, block), make([]byte, block)
	for offset := int64(0); ; offset += block {
		n, errA := io.ReadFull(a, bufA)
		m, errB := io.ReadFull(b, bufB)
		if err := errors.Join(realError(errA), realError(errB)); err != nil {
			return 0, err
		}
		if !bytes.Equal(bufA[:n], bufB[:m]) {
			i := 0
			for i < min(n, m) && bufA[i] == bufB[i] {
				i++
			}
			return offset + int64(i), nil
		}
		if n < block {
			return -1, nil
		}
	}
}

// realError drops the errors that only say where a file ends.
func realError(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return nil
	}
	return err
}

func describeWrong(wrong []string, files int) string {
	const most = 3
	s := strings.Join(wrong[:min(len(wrong), most)], "; ")
	if len(wrong) > most {
		s += fmt.Sprintf("; and %d more (of %d files)", len(wrong)-most, files)
	}
	return s
}
