package backend

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"sync"

	"github.com/seed51309289/quiver/netsim"
)

// loopback is the backend that starts programs as they are.
type loopback struct {
	mu sync.Mutex // guards the ports field of all jobs, and what it points to
}

// ports are the ports that one job uses on the loopback interface.
type ports struct {
	server uint16
	relay  map[family]uint16
	asked  []family // address families for which an authority was asked for, in order
}

// family is the kind of address behind a host name.
type family byte

const (
	ipv4 family = '4'
	ipv6 family = '6'
)

func (f family) addr() netip.Addr {
	if f == ipv6 {
		return netip.IPv6Loopback()
	}
	return netip.AddrFrom4([4]byte{127, 0, 0, 1})
}

func familyOf(host string) family {
	if host == "server6" {
		return ipv6
	}
	return ipv4 // a name with both addresses too: the loopback backend has one path
}

func (*loopback) Name() string { return "loopback" }

// Places implements Backend. The server listens on all addresses, since the address family is up to the client. The ports were free
// when they were chosen; the same Job has the same ports again.
func (b *loopback) Places(j *Job, role string) (Places, error) {
	made, err := absolute(j)
	if err != nil {
		return Places{}, err
	}
	p, err := b.portsOf(j)
	if err != nil {
		return Places{}, err
	}
	logs := filepath.Join(made.Dir, role)
	return Places{
		Listen:    fmt.Sprintf(":%d", p.server),
		Authority: func(host string) string { return b.authority(p, host) },
		Certs:     made.Certs,
		WWW:       made.WWW,
		Downloads: made.Downloads,
		Logs:      logs,
		QLog:      filepath.Join(logs, "qlog") + string(filepath.Separator),
	}, nil
}

// portsOf returns the ports of j, which it chooses at the first call.
func (b *loopback) portsOf(j *Job) (*ports, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if j.ports != nil {
		return j.ports, nil
	}
	p := &ports{relay: map[family]uint16{}}
	var err error
	if p.server, err = freePort(netip.IPv6Unspecified()); err != nil {
		if p.server, err = freePort(ipv4.addr()); err != nil {
			return nil, err
		}
	}
	for _, f := range []family{ipv4, ipv6} {
		if p.relay[f], err = freePort(f.addr()); err != nil && f == ipv4 {
			return nil, err
		}
	}
	j.ports = p
	return p, nil
}

// freePort returns a UDP port that nobody uses at addr.
func freePort(addr netip.Addr) (uint16, error) {
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, 0)))
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	return conn.LocalAddr().(*net.UDPAddr).AddrPort().Port(), nil
}

// authority returns the address of the simulator that stands for host, and notes that the simulator is needed there.
func (b *loopback) authority(p *ports, host string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	f := familyOf(host)
	known := false
	for _, g := range p.asked {
		known = known || f == g
	}
	if !known {
		p.asked = append(p.asked, f)
	}
	return netip.AddrPortFrom(f.addr(), p.relay[f]).String()
}

// Run implements Backend.
func (b *loopback) Run(ctx context.Context, j *Job, log io.Writer) Outcome {
	made, err := prepare(j)
	if err != nil {
		return notRun(err)
	}
	w := &loopWorld{job: made, log: &lineLog{w: log}}
	if w.scenario, err = netsim.ParseScenario(j.Scenario); err != nil {
		return notRun(err)
	}
	p, err := b.portsOf(j)
	if err != nil {
		return notRun(err)
	}
	b.mu.Lock()
	w.server, w.relays = p.server, relaysOf(p)
	b.mu.Unlock()
	file, err := os.Create(filepath.Join(made.Dir, "sim", "sim.log"))
	if err != nil {
		return notRun(err)
	}
	defer file.Close()
	w.simLog = io.MultiWriter(file, w.log.writer("sim"))
	return playJob(ctx, w, made)
}

// relaysOf returns where the simulator has to listen: for the families that were asked for, or for IPv4.
func relaysOf(p *ports) (relays []netip.AddrPort) {
	asked := p.asked
	if len(asked) == 0 {
		asked = []family{ipv4}
	}
	for _, f := range asked {
		relays = append(relays, netip.AddrPortFrom(f.addr(), p.relay[f]))
	}
	return relays
}

// Compliance implements Backend.
func (b *loopback) Compliance(ctx context.Context, role string, p Program, log io.Writer) (Exit, error) {
	lines := &lineLog{w: log}
	if err := findPrograms(&p); err != nil {
		return exitOf(nil), err
	}
	one, err := startProcess(programCommand(p, ""), lines.writer(role))
	if err != nil {
		return exitOf(nil), fmt.Errorf("%s: %w", p.Name, err)
	}
	select {
	case <-one.done:
		return one.exit, nil
	case <-ctx.Done():
		one.kill()
		return one.exit, ctx.Err()
	}
}

// programCommand returns the command of p, which findPrograms has found, to be run in dir.
func programCommand(p Program, dir string) *exec.Cmd {
	env := withDefaults(p.Env, os.Getenv("PATH"), os.Getenv("HOME"))
	cmd := exec.Command(p.Argv[0])
	cmd.Args, cmd.Env, cmd.Dir = p.Argv, env, dir
	ownGroup(cmd)
	return cmd
}

// loopWorld is the world of one job on the loopback backend.
type loopWorld struct {
	job      *Job
	scenario *netsim.Scenario
	server   uint16           // port
	relays   []netip.AddrPort // where the simulator listens, at most one for each family
	log      *lineLog
	simLog   io.Writer
}

func (w *loopWorld) start(role string) (*process, error) {
	p := w.job.Client
	if role == Server {
		p = w.job.Server
	}
	return startProcess(programCommand(p, filepath.Join(w.job.Dir, role)), w.log.writer(role))
}

// target returns where the server is for packets that arrive at relay.
func (w *loopWorld) target(relay netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(relay.Addr(), w.server)
}

func (w *loopWorld) awaitServer(ctx context.Context, ended <-chan struct{}) error {
	conn, err := net.Dial("udp", w.target(w.relays[0]).String())
	if err != nil {
		return err
	}
	defer conn.Close()
	return awaitServer(ctx, conn, ended, readyLimit)
}

func (w *loopWorld) cross() (stop func() error, err error) {
	return nil, fmt.Errorf("cross traffic: %w", ErrNeedsNamespaces)
}

// relay runs one simulator for each address family. Traces and numbers are those of the first.
func (w *loopWorld) relay(ctx context.Context, ready func()) (stats netsim.Stats, errs error) {
	logScenario(w.simLog, w.job)
	defer func() { logCarried(w.simLog, stats) }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		first bool
		stats netsim.Stats
		err   error
	}
	up, results := make(chan struct{}, len(w.relays)), make(chan result, len(w.relays))
	for i := range w.relays {
		go func() {
			stats, err := netsim.RunUDP(ctx, w.relayConfig(i, func(netip.AddrPort) { up <- struct{}{} }))
			cancel() // one is not enough
			results <- result{first: i == 0, stats: stats, err: err}
		}()
	}
	for range w.relays {
		select {
		case <-up:
			continue
		case <-ctx.Done():
		}
		break
	}
	if ctx.Err() == nil {
		ready()
	}
	for range w.relays {
		r := <-results
		errs = errors.Join(errs, r.err)
		if r.first {
			stats = r.stats
		}
	}
	return stats, errs
}

func (w *loopWorld) relayConfig(i int, ready func(netip.AddrPort)) netsim.UDPConfig {
	cfg := netsim.UDPConfig{
		Listen:   w.relays[i],
		Target:   w.target(w.relays[i]),
		Scenario: w.scenario,
		Seed:     w.job.Seed,
		Log:      w.simLog,
		Ready:    ready,
	}
	if i == 0 {
		cfg.LeftTrace, cfg.RightTrace = tracePath(w.job, "left"), tracePath(w.job, "right")
	}
	return cfg
}
