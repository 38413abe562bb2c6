package peers

import (
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

// The tree of another Debian release that has a younger ngtcp2, with HTTP/3 and the final version 2, than the one around us.
const (
	ngtcp2Suite    = "trixie"
	ngtcp2Packages = "ngtcp2-client,ngtcp2-server"
	ngtcp2Program  = "usr/bin/gtlsclient" // is there when the tree is whole
)

// NGTCP2Root returns the Debian tree with ngtcp2's programs that BuildNGTCP2 has made, "" if there is none. cacheDir is as for Install.
func NGTCP2Root(cacheDir string) string {
	dir, err := ngtcp2Dir(cacheDir)
	if err != nil {
		return ""
	}
	if _, err := os.Stat(filepath.Join(dir, ngtcp2Program)); err != nil {
		return ""
	}
	return dir
}

func ngtcp2Dir(cacheDir string) (string, error) {
	var err error
	if cacheDir == "" {
		if cacheDir, err = defaultCache(); err != nil {
			return "", err
		}
	}
	return filepath.Abs(filepath.Join(cacheDir, "debian-"+ngtcp2Suite+"-ngtcp2-"+runtime.GOARCH))
}

// BuildNGTCP2 makes the Debian tree, once, and returns it. It takes root, the program debootstrap, and a mirror, such as the one that
// this machine's apt uses: an empty mirror asks apt. Progress is written to log, a line each.
func BuildNGTCP2(ctx context.Context, mirror, cacheDir string, log io.Writer) (root string, err error) {
	if root := NGTCP2Root(cacheDir); root != "" {
		return root, nil
	}
	dir, err := ngtcp2Dir(cacheDir)
	if err != nil {
		return "", err
	}
	if os.Geteuid() != 0 {
		return "", errors.New("only root can make the Debian tree of ngtcp2; others can use it afterwards if they may read its directory")
	}
	if mirror == "" {
		if mirror, err = aptMirror(ctx); err != nil {
			return "", err
		}
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", err
	}
	b := build{what: "the Debian tree of ngtcp2", log: log}
	unlock, err := lock(ctx, dir+".lock", func() { b.say("waiting for another process that builds %s", b.what) })
	if err != nil {
		return "", err
	}
	defer unlock()
	if root := NGTCP2Root(cacheDir); root != "" {
		return root, nil // the other process was quicker
	}
	b.say("building %s (once; it is kept in %s)", b.what, dir)
	began := time.Now()
	if err := debootstrap(ctx, mirror, dir, log); err != nil {
		return "", err
	}
	b.say("built %s in %.1fs", b.what, time.Since(began).Seconds())
	return dir, nil
}

// debootstrap makes the tree beside dir and then moves it there, so that dir is never half full.
func debootstrap(ctx context.Context, mirror, dir string, log io.Writer) error {
	program, err := exec.LookPath("debootstrap")
	if err != nil {
		return errors.New("there is no debootstrap; hint: apt-get install debootstrap")
	}
	fresh := dir + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return err
	}
	defer os.RemoveAll(fresh)
	cmd := exec.CommandContext(ctx, program, "--variant=minbase", "--include="+ngtcp2Packages, ngtcp2Suite, fresh, mirror)
	cmd.WaitDelay = killDelay
	said := &tail{log: log}
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("debootstrap %s: %w: %s", ngtcp2Suite, err, lastLine(string(said.kept)))
	}
	if _, err := os.Stat(filepath.Join(fresh, ngtcp2Program)); err != nil {
		return fmt.Errorf("debootstrap %s made no %s", ngtcp2Suite, ngtcp2Program)
	}
	if err := os.RemoveAll(dir); err != nil { // what an interrupted build of an older version may have left
		return err
	}
	return os.Rename(fresh, dir)
}

func lastLine(s string) string {
	s = strings.TrimSpace(s)
	return s[strings.LastIndexByte(s, '\n')+1:]
}

// aptMirror returns where this machine's apt gets Debian from.
func aptMirror(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "apt-get", "indextargets", "--format", "$(ORIGIN) $(LABEL) $(REPO_URI)").Output()
	if err != nil {
		return "", fmt.Errorf("no mirror given, and apt does not tell its own: %w", err)
	}
	if mirror := mirrorIn(string(out)); mirror != "" {
		return mirror, nil
	}
	return "", errors.New("no mirror given, and this machine's apt has none of Debian; hint: apt-get update, or name one with -mirror")
}

// mirrorIn finds the mirror in what apt says of its indexes: origin, label and address of each, on a line. The archive of security
// updates has the origin Debian too, but not its label.
func mirrorIn(targets string) string {
	for line := range strings.Lines(targets) {
		if address, ok := strings.CutPrefix(strings.TrimSpace(line), "Debian Debian "); ok {
			return address
		}
	}
	return ""
}
