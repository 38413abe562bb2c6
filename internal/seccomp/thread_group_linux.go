//go:build amd64 || arm64

package seccomp

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
)

// threadGroup returns the process of a thread.
func threadGroup(tid uint32) (int, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", tid))
	if err != nil {
		return 0, err
	}
	return parseThreadGroup(status)
}

// parseThreadGroup finds "Tgid:\t123" in /proc/PID/status (proc_pid_status(5)).
func parseThreadGroup(status []byte) (int, error) {
	for line := range bytes.Lines(status) {
		if id, ok := bytes.CutPrefix(line, []byte("Tgid:")); ok {
			return strconv.Atoi(string(bytes.TrimSpace(id)))
		}
	}
	return 0, fmt.Errorf("no thread group in %q", status)
}
