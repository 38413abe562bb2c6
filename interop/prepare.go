package interop

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/seed51309289/quiver/interop/backend"
	"github.com/seed51309289/quiver/interop/certs"
)

// Limits of the preparation of one implementation.
const (
	installTimeout    = 10 * time.Minute // first build of a foreign program on a slow line
	complianceTimeout = 10 * time.Second
)

// An installer builds each package once, however many roles and implementations ask for it.
type installer struct {
	build func(ctx context.Context, pkg string, log io.Writer) (string, error)

	mu   sync.Mutex // guards done
	done map[string]func() (string, error)
}

func (i *installer) install(ctx context.Context, pkg string, log io.Writer) (string, error) {
	if i.build == nil {
		return "", fmt.Errorf("cannot install %s: this run has no installer", pkg)
	}
	i.mu.Lock()
	once, ok := i.done[pkg]
	if !ok {
		once = sync.OnceValues(func() (string, error) {
			ctx, cancel := context.WithTimeout(ctx, installTimeout)
			defer cancel()
			return i.build(ctx, pkg, log)
		})
		i.done[pkg] = once
	}
	i.mu.Unlock()
	return once()
}

// prepared is a party that can run.
type prepared struct {
	command *Command
	bin     string
}

// version says what runs: the installed package, this program, or the command.
func (c *Command) version() string {
	if c.Install != "" {
		return c.Install
	}
	if c.Run[0] != "{self}" {
		return strings.Join(c.Run, " ")
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "this program"
	}
	return info.Main.Path + "@" + info.Main.Version
}

// prepare installs the party's program and checks that it refuses a test case that does not exist. The error is the
// reason why it cannot take part.
func (r *run) prepare(ctx context.Context, p party, impl *Implementation) (*prepared, error) {
	c, err := impl.command(r.plan.Backend.Name(), p.role)
	if err != nil {
		return nil, err
	}
	ready := &prepared{command: c}
	if c.Install != "" {
		if ready.bin, err = r.installer.install(ctx, c.Install, &buildNotes{r: r}); err != nil {
			return nil, err
		}
	}
	return ready, r.checkCompliance(ctx, p, ready)
}

// buildNotes passes what a build says on to the log, and what is not the go command's own to the watcher: a first build
// takes a minute in which nothing else happens.
type buildNotes struct {
	r       *run
	partial []byte
}

// Write never fails. An installer calls it from one goroutine at a time.
func (b *buildNotes) Write(p []byte) (int, error) {
	b.partial = append(b.partial, p...)
	for {
		line, rest, ok := bytes.Cut(b.partial, []byte("\n"))
		if !ok {
			break
		}
		b.partial = rest
		if !bytes.HasPrefix(line, []byte("peers: go: ")) {
			b.r.watch(func(w Watcher) { w.Note(string(line)) })
		}
	}
	if len(b.partial) > maxLogLine {
		b.partial = nil
	}
	return b.r.prepLog.Write(p)
}

// checkCompliance runs the program with a random TESTCASE, which it has to refuse with exit status 127 within a deadline.
func (r *run) checkCompliance(ctx context.Context, p party, ready *prepared) error {
	ctx, cancel := context.WithTimeout(ctx, complianceTimeout)
	defer cancel()
	tmp, err := newWorkDir(r.plan.Seed, 1)
	if err != nil {
		return err
	}
	defer tmp.remove()
	job := tmp.job(filepath.Join(tmp.root, "logs"))
	testcase := slugs(r.plan.Seed.source("compliance "+p.role+" "+p.name), 1)[0]
	program, err := r.program(job, p, ready, testcase, nil)
	if err != nil {
		return err
	}
	for _, dir := range []string{RoleClient, RoleServer} {
		if err := os.MkdirAll(filepath.Join(job.Dir, dir, "qlog"), 0o755); err != nil {
			return err
		}
	}
	fmt.Fprintf(r.prepLog, "compliance of %s as %s: TESTCASE=%s\n", p.name, p.role, testcase)
	exit, err := r.plan.Backend.Compliance(ctx, p.role, program, r.prepLog)
	return compliant(exit, err)
}

// program returns what to execute for one role of a job.
func (r *run) program(job *backend.Job, p party, ready *prepared, testcase string, urls []string) (backend.Program, error) {
	places, err := r.plan.Backend.Places(job, p.role)
	if err != nil {
		return backend.Program{}, err
	}
	v := &values{bin: ready.bin, self: r.plan.Self, places: places, requests: urls}
	return backend.Program{
		Name: p.name,
		Argv: ready.command.argv(v),
		Env:  endpointEnv(p.role, testcase, v, r.plan.Params, ready.command.Env),
	}, nil
}

// A workDir holds the directories that are mounted into the endpoints of one job.
type workDir struct{ root, www, downloads, certs string }

func newWorkDir(seed Seed, chain int) (*workDir, error) {
	root, err := os.MkdirTemp("", "quiver-interop-")
	if err != nil {
		return nil, err
	}
	w := &workDir{root, filepath.Join(root, "www"), filepath.Join(root, "downloads"), filepath.Join(root, "certs")}
	for _, dir := range []string{w.www, w.downloads, w.certs} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			w.remove()
			return nil, err
		}
	}
	if err := certs.Generate(w.certs, chain, time.Now(), seed.source("certificates")); err != nil {
		w.remove()
		return nil, err
	}
	return w, nil
}

func (w *workDir) job(dir string) *backend.Job {
	return &backend.Job{Dir: dir, WWW: w.www, Downloads: w.downloads, Certs: w.certs}
}

func (w *workDir) remove() { os.RemoveAll(w.root) }
