package peers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

const (
	keptOutput = 8 << 10 // last bytes of what the go command said, for the error
	killDelay  = 2 * time.Second
)

// build is one program to be made by the go command.
type build struct {
	what string                    // for messages
	key  string                    // names it in the cache, together with the platform and the Go version
	args func(dir string) []string // of the go command, which runs in dir and installs to $GOBIN
	fill func(dir string) error    // puts sources into dir; nil = none
	log  io.Writer
}

// cached returns the program from the cache below root, and builds it if it is not there.
func (b *build) cached(ctx context.Context, root string) (string, error) {
	if root == "" {
		var err error
		if root, err = defaultCache(); err != nil {
			return "", err
		}
	}
	root, err := filepath.Abs(root)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(root, b.key+"-"+platform())
	if binary := onlyFile(dir); binary != "" {
		return binary, nil
	}
	if err := os.MkdirAll(root, 0o755); err != nil {
		return "", fmt.Errorf("no place to keep peers: %w; hint: set XDG_CACHE_HOME to a directory that you may write to", err)
	}
	unlock, err := lock(ctx, dir+".lock", func() { b.say("waiting for another process that builds %s", b.what) })
	if err != nil {
		return "", fmt.Errorf("peer %s: %w", b.what, err)
	}
	defer unlock()
	if binary := onlyFile(dir); binary != "" {
		return binary, nil // the other process was quicker
	}
	if err := b.make(ctx, root, dir); err != nil {
		return "", fmt.Errorf("peer %s: %w", b.what, err)
	}
	return onlyFile(dir), nil
}

// platform tells programs apart that are built from the same sources.
func platform() string {
	version := strings.ReplaceAll(strings.ReplaceAll(runtime.Version(), " ", "_"), "/", "_")
	return runtime.GOOS + "-" + runtime.GOARCH + "-" + version
}

// onlyFile returns the path of the file in dir, or "" unless there is exactly one.
func onlyFile(dir string) string {
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || !entries[0].Type().IsRegular() {
		return ""
	}
	return filepath.Join(dir, entries[0].Name())
}

// make builds the program beside dir and then moves it there, so that dir is never half full.
func (b *build) make(ctx context.Context, root, dir string) error {
	goCommand, err := findGo()
	if err != nil {
		return err
	}
	bin, err := os.MkdirTemp(root, ".new-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(bin)
	work, err := os.MkdirTemp("", "quiver-build-") // in no module, and none that the build could change
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if b.fill != nil {
		if err := b.fill(work); err != nil {
			return err
		}
	}
	b.say("building %s (once; it is kept in %s)", b.what, root)
	began := time.Now()
	cmd := exec.CommandContext(ctx, goCommand, b.args(work)...)
	cmd.Dir, cmd.Env = work, environment(os.Environ(), bin)
	cmd.WaitDelay = killDelay
	said := &tail{log: b.log}
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Run(); err != nil {
		return b.explain(ctx, err, string(said.kept))
	}
	if onlyFile(bin) == "" {
		return errors.New("the go command built no program, is it a main package?")
	}
	os.RemoveAll(dir) // what an older version may have left
	if err := os.Chmod(bin, 0o755); err != nil {
		return err
	}
	if err := os.Rename(bin, dir); err != nil {
		return err
	}
	b.say("built %s in %.1fs", b.what, time.Since(began).Seconds())
	return nil
}

func (b *build) say(format string, args ...any) {
	if b.log != nil {
		fmt.Fprintf(b.log, "peers: "+format+"\n", args...)
	}
}

// usualRoots are where Go lies on machines whose PATH does not say so.
var usualRoots = []string{"/usr/local/go", "/usr/lib/go"}

// findGo returns the go command in PATH, or else of the usual places.
func findGo() (string, error) {
	path, err := exec.LookPath("go")
	if err == nil {
		return filepath.Abs(path)
	}
	for _, root := range append([]string{os.Getenv("GOROOT")}, usualRoots...) {
		if root == "" {
			continue
		}
		if path, err := exec.LookPath(filepath.Join(root, "bin", "go")); err == nil {
			return path, nil
		}
	}
	return "", errors.New("there is no go command in PATH to build it; hint: install Go from https://go.dev/dl, or add its bin directory to PATH")
}

// environment returns env for a go command that installs to bin for this machine. Settings that speak about the module of the current
// directory do not apply to a program of another module.
func environment(env []string, bin string) []string {
	ours := map[string]string{
		"GOBIN": bin, "GOOS": runtime.GOOS, "GOARCH": runtime.GOARCH,
		"GO111MODULE": "on", "GOWORK": "off",
		"CGO_ENABLED": "0", // needs no C compiler, and runs under any root directory
	}
	var kept []string
	for _, kv := range env {
		key, value, _ := strings.Cut(kv, "=")
		switch {
		case key == "GOFLAGS":
			kept = append(kept, "GOFLAGS="+cleanFlags(value))
		case key == "PWD":
		case ours[key] == "":
			kept = append(kept, kv)
		}
	}
	for key, value := range ours {
		kept = append(kept, key+"="+value)
	}
	return kept
}

// cleanFlags returns GOFLAGS without those that are about the current module.
func cleanFlags(flags string) string {
	var kept []string
	for flag := range strings.FieldsSeq(flags) {
		name, _, _ := strings.Cut(strings.TrimLeft(flag, "-"), "=")
		if name != "mod" && name != "modfile" && name != "modcacherw" && name != "o" && name != "C" {
			kept = append(kept, flag)
		}
	}
	return strings.Join(kept, " ")
}

// explain says what err of the go command, which said said, comes from.
func (b *build) explain(ctx context.Context, err error, said string) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	last := strings.TrimSpace(said)
	if i := strings.LastIndexByte(last, '\n'); i >= 0 {
		last = last[i+1:]
	}
	if last == "" {
		last = err.Error()
	}
	for _, sign := range []string{"dial tcp", "no such host", "connection refused", "i/o timeout", "TLS handshake timeout",
		"GOPROXY=off", "proxyconnect", "network is unreachable", "GOPROXY list is not the empty string"} {
		if strings.Contains(said, sign) {
			return fmt.Errorf("no module proxy can be reached: %s; hint: connect to the network once, or set GOPROXY to a proxy that you reach", last)
		}
	}
	return fmt.Errorf("go %s: %s", b.args("")[0], last)
}

// tail passes whole lines on to log and keeps the last of what it is given.
type tail struct {
	log     io.Writer
	pending []byte
	kept    []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.kept = append(t.kept, p...)
	if over := len(t.kept) - keptOutput; over > 0 {
		t.kept = append(t.kept[:0], t.kept[over:]...)
	}
	if t.log == nil {
		return len(p), nil
	}
	t.pending = append(t.pending, p...)
	for {
		end := bytes.IndexByte(t.pending, '\n')
		if end < 0 {
			break
		}
		fmt.Fprintf(t.log, "peers: %s\n", t.pending[:end])
		t.pending = t.pending[end+1:]
	}
	if len(t.pending) > keptOutput {
		t.pending = t.pending[:0] // no line is that long
	}
	return len(p), nil
}
