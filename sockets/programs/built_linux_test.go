package programs

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// built is what all rows share: programs made from this tree, files to serve, keys.
type built struct {
	dir    string // everybody may read and enter it
	www    string
	quiver string // the program

	mu   sync.Mutex // guards made, and is held while something is made
	made map[string]error
}

// shared is made by TestMain.
var shared = &built{made: map[string]error{}}

// makers make what a row names in its setup.
var makers = map[string]func(b *built) error{
	"quiver":   func(b *built) error { return b.goBuild("quiver", "../../cmd/quiver", os.Environ()) },
	"files":    (*built).makeFiles,
	"gohttp":   func(b *built) error { return b.goBuild("gohttp", "./testdata/gohttp", static) },
	"gitserve": func(b *built) error { return b.goBuild("gitserve", "./testdata/gitserve", static) },
	"java":     func(b *built) error { return b.sh("javac -d java $SRC/Both.java") },
	"keys":     (*built).makeKeys,
	"cert": func(b *built) error {
		return b.sh("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 2 -subj /CN=localhost -keyout tls.key -out tls.crt 2>/dev/null; chmod 644 tls.key")
	},
	"database": (*built).makeDatabase,
}

// need makes what is named, each once.
func (b *built) need(t testing.TB, names ...string) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, name := range names {
		if _, done := b.made[name]; !done {
			b.made[name] = makers[name](b)
		}
		if err := b.made[name]; err != nil {
			t.Fatalf("make %s: %v", name, err)
		}
	}
}

// static is the environment for programs that are whole in themselves.
var static = append(os.Environ(), "CGO_ENABLED=0")

func (b *built) goBuild(name, pkg string, env []string) error {
	cmd := exec.Command("go", "build", "-ldflags=-s -w", "-o", filepath.Join(b.dir, name), pkg)
	cmd.Env = env
	return run(cmd)
}

// sh runs a script in the shared directory; SRC is where the sources are.
func (b *built) sh(script string) error {
	source, err := filepath.Abs("testdata")
	if err != nil {
		return err
	}
	cmd := exec.Command("/bin/sh", "-euc", script)
	cmd.Dir, cmd.Env = b.dir, []string{"PATH=" + path, "HOME=" + b.dir, "LC_ALL=C.UTF-8", "SRC=" + source}
	return run(cmd)
}

func run(cmd *exec.Cmd) error {
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return nil
}

// Sizes of the files to serve, in bytes.
const (
	midSize = 8 << 20
	bigSize = 50 << 20
)

// makeFiles writes a page and two files of random bytes, which no layer can compress or guess.
func (b *built) makeFiles() error {
	b.www = filepath.Join(b.dir, "www")
	if err := os.Mkdir(b.www, 0o755); err != nil {
		return err
	}
	big := make([]byte, bigSize)
	rand.NewChaCha8([32]byte{1}).Read(big)
	page := "<!doctype html><title>a page</title><p>" + strings.Repeat("words and ", 400) + "nothing</p></html>\n"
	return errors.Join(
		os.CopyFS(filepath.Join(b.dir, "scripts"), os.DirFS("testdata")), // where every user can read them
		os.WriteFile(filepath.Join(b.www, "page.html"), []byte(page), 0o644),
		os.WriteFile(filepath.Join(b.www, "mid"), big[:midSize], 0o644),
		os.WriteFile(filepath.Join(b.www, "big"), big, 0o644))
}

// makeKeys makes the keys of ssh: of the host and of who logs in. They are worth nothing, so that everybody may read them.
func (b *built) makeKeys() error {
	return b.sh(`mkdir ssh; for k in host user; do ssh-keygen -q -t ed25519 -N "" -f ssh/$k; done; chmod 755 ssh; chmod 644 ssh/*; mkdir -p -m 755 /run/sshd || true`)
}

// makeDatabase makes the files of an empty PostgreSQL, which rows copy. Its programs refuse to run as root.
func (b *built) makeDatabase() error {
	as := ""
	if os.Getuid() == 0 {
		as = "chown 65534:65534 pg; setpriv --reuid 65534 --regid 65534 --clear-groups "
	}
	return b.sh("mkdir pg; " + as + "initdb -D pg/data -U postgres -A trust -N -E UTF8 --locale C --no-instructions; chmod 755 pg")
}
