package backend

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// marks finds processes that descend from a test, wherever they are, by a variable in their environment.
type marks struct {
	text  string
	files int // open ones of this process at the beginning
}

func markProcesses(t *testing.T) *marks {
	t.Helper()
	value := os.Getenv(markVariable) // of a test that runs this one
	if value == "" {
		value = fmt.Sprintf("%d-%d", os.Getpid(), time.Now().UnixNano())
	}
	t.Setenv(markVariable, value)
	return &marks{text: markVariable + "=" + value, files: openFiles()}
}

// processes returns the marked processes other than this.
func (m *marks) processes() (pids []int) {
	entries, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range entries {
		pid, _ := strconv.Atoi(filepath.Base(dir))
		environ, err := os.ReadFile(dir + "/environ")
		if err == nil && pid != os.Getpid() && bytes.Contains(environ, []byte(m.text)) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// wantNone wants no marked process to be left, and no file that this process did not have open before. Together they are all that
// keeps a namespace alive.
func (m *marks) wantNone(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Second)
	for len(m.processes()) > 0 || openFiles() > m.files {
		if time.Now().After(deadline) {
			t.Errorf("left behind: processes %v, %d open files", m.processes(), openFiles()-m.files)
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func openFiles() int {
	entries, _ := os.ReadDir("/proc/self/fd")
	return len(entries)
}
