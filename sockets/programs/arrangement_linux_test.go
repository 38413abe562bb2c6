package programs

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
)

// Ordinary users of every Debian: uid and gid.
const (
	webUser = 33
	nobody  = 65534
)

// An end is how one of the two programs runs.
type end string

const (
	plain   end = "plain"   // by itself, on the host's TCP
	inside  end = "inside"  // under quiver run --mode inside
	outside end = "outside" // under quiver run --mode outside
	behind  end = "gateway" // by itself, with quiver gateway between it and the other end
	auto    end = "auto"    // under quiver run --fallback tcp
)

// supervised reports whether quiver run starts the program.
func (e end) supervised() bool { return e == inside || e == outside || e == auto }

// An arrangement is a column of the table: how both ends run, and as which user.
type arrangement struct {
	name           string // in the names of subtests
	title          string // in the head of the table
	server, client end
	user           bool // both as an ordinary user, not as root
	quick          bool // also without QUIVER_PROGRAMS=1
}

// arrangements are the columns, in order. The first is the control.
var arrangements = []arrangement{
	{name: "plain", title: "plain TCP", server: plain, client: plain, quick: true},
	{name: "inside", title: "inside", server: inside, client: inside, quick: true},
	{name: "outside", title: "outside", server: outside, client: outside, quick: true},
	{name: "mixed", title: "server inside, client outside", server: inside, client: outside},
	{name: "server-gateway", title: "gateway before the server", server: behind, client: inside},
	{name: "client-gateway", title: "gateway before the client", server: inside, client: behind},
	{name: "auto-client", title: "`auto` client, plain server", server: plain, client: auto},
	{name: "auto-server", title: "plain client, `auto` server", server: auto, client: plain},
	{name: "user-plain", title: "plain TCP, as a user", server: plain, client: plain, user: true},
	{name: "user-inside", title: "inside, as a user", server: inside, client: inside, user: true},
	{name: "user-outside", title: "outside, as a user", server: outside, client: outside, user: true},
}

// overQUIC reports whether what passes between the ends must be QUIC; else it must be TCP.
func (a *arrangement) overQUIC() bool { return a.server != plain && a.client != plain }

// serve returns the command line that runs a server's script.
func (p *place) serve(script string) []string {
	sh := []string{"/bin/sh", "-euc", script}
	e := p.arrangement.server
	if !e.supervised() {
		return sh
	}
	var listen []string
	for _, name := range p.program.listening() {
		listen = append(listen, strconv.Itoa(p.listen[name]))
	}
	return append(append(p.run(e), "--listen", strings.Join(listen, ","), "--udp-port", strconv.Itoa(p.udp), "--"), sh...)
}

// call returns the command line that runs a client's script.
func (p *place) call(script string) []string {
	sh := []string{"/bin/sh", "-euc", script}
	e := p.arrangement.client
	if !e.supervised() {
		return sh
	}
	// The run of the server has that UDP port here, so that what the client listens at, as ssh -L does, is not for QUIC.
	return append(append(p.run(e), "--listen", "1", "--udp-port", strconv.Itoa(p.udp), "--"), sh...)
}

// run is the beginning of a command line of quiver run.
func (p *place) run(e end) []string {
	how := []string{"--mode", string(e)}
	if e == auto {
		how = []string{"--fallback", "tcp"}
	}
	return slices.Concat([]string{p.built.quiver, "run"}, how, verbose)
}

// gatewayCommand returns the command line of the gateway, and at which end it stands; nil if there is none.
func (p *place) gatewayCommand() (argv []string, end string) {
	host := p.program.host()
	argv = append([]string{p.built.quiver, "gateway"}, verbose...)
	for _, name := range p.program.listening() {
		dialed, listens := strconv.Itoa(p.ports[name]), strconv.Itoa(p.listen[name])
		switch behind {
		case p.arrangement.server:
			argv = append(argv, "--in", fmt.Sprintf("quic://:%d/%s", p.udp, dialed), "--out", "tcp://"+net.JoinHostPort(host, listens))
			end = "server"
		case p.arrangement.client:
			argv = append(argv, "--in", "tcp://"+net.JoinHostPort(host, dialed), "--out", "quic://"+net.JoinHostPort(host, strconv.Itoa(p.udp))+"/"+listens)
			end = "client"
		}
	}
	if end == "" {
		return nil, ""
	}
	return argv, end
}

// verbose are options of quiver run and gateway to see what it does in a row that fails, such as -vv.
var verbose = strings.Fields(os.Getenv("QUIVER_PROGRAMS_OPTIONS"))

// told compares what is told of a server, by its supervisor if that still runs or by its gateway, with what it served.
func (p *place) told() error {
	a := p.arrangement
	if !a.overQUIC() || a.server != behind && p.program.ends {
		return nil
	}
	cmd := exec.Command(p.built.quiver, "ps", "--json")
	cmd.Env = p.environment("server")
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("quiver ps: %w", err)
	}
	var running []struct {
		Counters struct {
			Conns uint64 `json:"conns"`
			Up    uint64 `json:"bytes_up"`
			Down  uint64 `json:"bytes_down"`
		} `json:"counters"`
	}
	if err := json.Unmarshal(out, &running); err != nil {
		return fmt.Errorf("quiver ps: %w", err)
	}
	if len(running) != 1 || running[0].Counters.Conns == 0 || running[0].Counters.Up+running[0].Counters.Down < uint64(p.program.moves) {
		return fmt.Errorf("quiver ps: got %+v, want one program with connections that moved at least %d bytes", running, p.program.moves)
	}
	return nil
}
