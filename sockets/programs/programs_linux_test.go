package programs

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/seed51309289/quiver/internal/need"
)

var update = flag.Bool("update", false, "write docs/programs.md from what is seen")

// everything says that all rows are wanted in all arrangements, which takes minutes.
var everything = os.Getenv("QUIVER_PROGRAMS") != ""

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(runTests(m))
}

// runTests runs them and tells whether they left a process behind.
func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "programs-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	os.Chmod(dir, 0o755)
	shared.dir, shared.quiver = dir, filepath.Join(dir, "quiver")
	if err := adopt(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	status := m.Run()
	for _, s := range descendants(os.Getpid()) {
		fmt.Fprintf(os.Stderr, "left behind: process %d, %s\n", s.pid, s.name)
		syscall.Kill(s.pid, syscall.SIGKILL)
		status = 1
	}
	return status
}

func TestPrograms(t *testing.T) {
	seen := newResults()
	t.Run("row", func(t *testing.T) {
		for _, p := range all() {
			if !slices.ContainsFunc(arrangements, func(a arrangement) bool { return meantFor(&p, &a) }) {
				continue
			}
			t.Run(p.name, func(t *testing.T) {
				for i := range arrangements {
					if !meantFor(&p, &arrangements[i]) {
						continue
					}
					t.Run(arrangements[i].name, func(t *testing.T) {
						t.Parallel()
						testProgram(t, &p, &arrangements[i], seen)
					})
				}
			})
		}
	})
	if *update {
		writeTable(t, seen)
	}
}

// meantFor reports whether a row is run in an arrangement.
func meantFor(p *program, a *arrangement) bool {
	return p.not[a.name] == "" && (p.user || !a.user) && (everything || p.quick && a.quick)
}

// testProgram runs one row in one arrangement.
func testProgram(t *testing.T, p *program, a *arrangement, seen *results) {
	for _, tool := range p.tools {
		if find(tool) == "" {
			need.Missing(t, tool, "%s is not installed", tool)
		}
	}
	b := shared
	b.need(t, append([]string{"files"}, p.setup...)...)
	if a.server != plain || a.client != plain {
		b.need(t, "quiver")
	}
	if a.user && os.Getuid() != 0 {
		need.Missing(t, "root", "only root can start a program as another user")
	}
	at := newPlace(t, p, a, b)
	err := at.try(context.Background())
	seen.add(p, a, err)
	why := known(p, a)
	switch {
	case err != nil && why != "":
		t.Skipf("fails as is known (%s): %v", why, err)
	case err != nil:
		t.Errorf("%v\n%s", err, at.logs())
	case why != "":
		t.Errorf("passes: take it from the known failures (%s)", why)
	}
}

// find returns where a program is, "" if it is not installed.
func find(tool string) string {
	for _, dir := range strings.Split(path, ":") {
		if file, err := exec.LookPath(filepath.Join(dir, tool)); err == nil {
			return file
		}
	}
	return ""
}
