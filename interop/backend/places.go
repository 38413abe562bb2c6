package backend

import (
	"fmt"
	"os"
	"path/filepath"
)

// tracePath returns where the packets of one side of the simulator are recorded.
func tracePath(j *Job, side string) string {
	return filepath.Join(j.Dir, "sim", "trace_node_"+side+".pcap")
}

// prepare checks j, makes its paths absolute and the directories below j.Dir, and returns the result as a Job of its own.
func prepare(j *Job) (*Job, error) {
	made := *j
	for _, dir := range []*string{&made.Dir, &made.WWW, &made.Downloads, &made.Certs} {
		abs, err := filepath.Abs(*dir)
		if err != nil {
			return nil, err
		}
		if *dir != "" {
			*dir = abs
		}
	}
	if j.Dir == "" {
		return nil, fmt.Errorf("job without a directory")
	}
	for _, dir := range []string{"client/qlog", "server/qlog", "sim"} {
		if err := os.MkdirAll(filepath.Join(made.Dir, dir), 0o755); err != nil {
			return nil, err
		}
	}
	return &made, nil
}
