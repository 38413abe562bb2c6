package programs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// limit is how long one row in one arrangement may take.
const limit = 60 * time.Second

// path is where programs are looked up: a distribution's, so that root and an ordinary user find the same.
const path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/postgresql/15/bin:/usr/lib/git-core"

// A place is where one program runs in one arrangement: its directories, ports and processes.
type place struct {
	program     *program
	arrangement *arrangement
	built       *built
	dir         string         // has the directories server and client
	ports       map[string]int // as the client names them
	listen      map[string]int // as the server names them: others behind a gateway
	udp         int
	uid         int

	server  *process
	gateway *process
	stdout  string // of the client
	talk    string // of the client and its supervisor, on stderr
}

// newPlace makes the directories and chooses the ports.
func newPlace(t *testing.T, p *program, a *arrangement, b *built) *place {
	t.Helper()
	at := &place{program: p, arrangement: a, built: b, ports: map[string]int{}, listen: map[string]int{}, udp: freePort(t)}
	if a.user {
		at.uid = cmp.Or(p.uid, nobody)
	} else {
		at.uid = os.Getuid()
	}
	dir, err := os.MkdirTemp(b.dir, "at-")
	if err != nil {
		t.Fatal(err)
	}
	at.dir = dir
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	for _, name := range []string{"", "server", "client", "server/run", "client/run", "server/state", "client/state"} {
		sub := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(sub, 0o700), os.Chown(sub, at.uid, at.uid)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range p.listening() {
		at.ports[name] = freePort(t)
		at.listen[name] = at.ports[name]
		if a.server == behind || a.client == behind {
			at.listen[name] = freePort(t)
		}
	}
	for _, name := range p.spare {
		at.ports[name] = freePort(t)
		at.listen[name] = at.ports[name]
	}
	return at
}

// listening are the names of the ports of a server.
func (p *program) listening() []string { return append([]string{"PORT"}, p.ports...) }

// environment is what the scripts of one end see.
func (p *place) environment(end string) []string {
	home := filepath.Join(p.dir, end)
	ports := p.ports
	if end == "server" {
		ports = p.listen
	}
	host := p.program.host()
	env := []string{
		"PATH=" + p.built.dir + ":" + path, "HOME=" + home, "TMPDIR=" + home, "LANG=C.UTF-8", "LC_ALL=C.UTF-8",
		"QUIVER_RUNTIME_DIR=" + filepath.Join(home, "run"), "QUIVER_STATE_DIR=" + filepath.Join(home, "state"),
		"BIN=" + p.built.dir, "SCRIPTS=" + filepath.Join(p.built.dir, "scripts"), "WWW=" + p.built.www, "HOST=" + host, "USER_NAME=" + userNames[p.uid],
		"AT=" + net.JoinHostPort(host, strconv.Itoa(ports["PORT"])), "LISTEN=" + strconv.Itoa(p.listen["PORT"]),
	}
	if p.arrangement.server == behind || p.arrangement.client == behind {
		env = append(env, "SAME=other")
	} else {
		env = append(env, "SAME=same")
	}
	for name, port := range ports {
		env = append(env, name+"="+strconv.Itoa(port))
	}
	return env
}

// listener is the port of the server, as its programs print it.
func (p *place) listener() string { return strconv.Itoa(p.listen["PORT"]) }

// userNames are those of every Debian.
var userNames = map[int]string{0: "root", webUser: "www-data", nobody: "nobody"}

// read returns a file that a program left, "" if it left none.
func (p *place) read(name string) string {
	text, err := os.ReadFile(filepath.Join(p.dir, name))
	if err != nil {
		return ""
	}
	return string(text)
}

// try runs the program in its arrangement. Nothing is left running.
func (p *place) try(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	wire, err := p.watch()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, wire.stop(p)) }()
	defer p.stop()
	if err := p.startServer(ctx); err != nil {
		return err
	}
	if err := p.runClient(ctx); err != nil {
		return err
	}
	if p.program.ends {
		if err := p.server.wait(ctx); err != nil {
			return err
		}
	}
	if p.program.check != nil {
		if err := p.program.check(p); err != nil {
			return err
		}
	}
	return p.told()
}

func (p *place) startServer(ctx context.Context) (err error) {
	p.server, err = start("server", p.serve(p.program.server), filepath.Join(p.dir, "server"), p.environment("server"), p.uid)
	if err != nil {
		return err
	}
	if err := p.server.says(ctx, p.program.ready); err != nil {
		return err
	}
	return p.startGateway(ctx)
}

// startGateway starts what stands between the two ends, if anything does.
func (p *place) startGateway(ctx context.Context) (err error) {
	argv, end := p.gatewayCommand()
	if argv == nil {
		return nil
	}
	p.gateway, err = start("gateway", argv, p.dir, p.environment(end), p.uid)
	if err != nil {
		return err
	}
	return p.gateway.says(ctx, "the key of this gateway")
}

func (p *place) runClient(ctx context.Context) error {
	client, err := start("client", p.call(p.program.client), filepath.Join(p.dir, "client"), p.environment("client"), p.uid)
	if err != nil {
		return err
	}
	defer client.stop()
	err = client.wait(ctx)
	p.stdout, p.talk = client.out.String(), client.talk.String()
	return err
}

// stop ends what still runs, the last first.
func (p *place) stop() {
	for _, process := range []*process{p.gateway, p.server} {
		if process != nil {
			process.stop()
		}
	}
}

// logs is what to show of a failure.
func (p *place) logs() string {
	var b strings.Builder
	fmt.Fprintf(&b, "client: %s\n%s\n", strings.Join(p.call("…"), " "), clip(p.stdout+p.talk))
	if p.server != nil {
		fmt.Fprintf(&b, "server: %s\n%s\n", strings.Join(p.serve("…"), " "), clip(p.server.out.String()))
	}
	if p.gateway != nil {
		fmt.Fprintf(&b, "gateway: %s\n%s\n", strings.Join(p.gateway.cmd.Args, " "), clip(p.gateway.out.String()))
	}
	return b.String()
}
