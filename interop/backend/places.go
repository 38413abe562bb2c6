package backend

import (
	"errors"
	"os"
	"path/filepath"
)

// tracePath returns where the packets of one side of the simulator are recorded.
func tracePath(j *Job, side string) string {
	return filepath.Join(j.Dir, "sim", "trace_node_"+side+".pcap")
}

// absolute returns a copy of j whose directories are absolute paths.
func absolute(j *Job) (*Job, error) {
	made := *j
	for _, dir := range []*string{&made.Dir, &made.WWW, &made.Downloads, &made.Certs} {
		if *dir == "" {
			continue
		}
		abs, err := filepath.Abs(*dir)
		if err != nil {
			return nil, err
		}
		*dir = abs
	}
	return &made, nil
}

// prepare returns a copy of j that is ready to run: its paths are absolute, its programs found, and the directories below Dir made.
func prepare(j *Job) (*Job, error) {
	if j.Dir == "" {
		return nil, errors.New("job without a directory")
	}
	made, err := absolute(j)
	if err != nil {
		return nil, err
	}
	if err := findPrograms(&made.Client, &made.Server); err != nil {
		return nil, err
	}
	for _, dir := range []string{"client/qlog", "server/qlog", "sim"} {
		if err := os.MkdirAll(filepath.Join(made.Dir, dir), 0o755); err != nil {
			return nil, err
		}
	}
	return made, nil
}
