package backend

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/seed51309289/quiver/netsim"
	"golang.org/x/sys/unix"
)

const (
	endpointNamespaces = unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWUTS
	sandboxNamespaces  = unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWUTS | unix.CLONE_NEWPID | unix.CLONE_NEWIPC
)

// orders are what the parent tells a sandbox.
type orders struct {
	Job   Job
	Alone string // role of the only program, for a compliance check; "" = all of the job
	Probe bool   // make the world, start nothing
}

// report is what a sandbox tells its parent at its end.
type report struct {
	Outcome  Outcome // without Err
	Err      string
	NotReady bool
}

// sandboxMain is one job: the simulator's namespace, and process 1 of all others. It reads orders from descriptor 3, where more bytes
// mean that it has to end and the end of file means that the parent is gone. It writes a report to descriptor 4 and lines of log to
// standard output.
func sandboxMain() int {
	unix.CloseOnExec(3)
	unix.CloseOnExec(4)
	in := bufio.NewReader(os.NewFile(3, "orders"))
	var o orders
	if err := readLine(in, &o); err != nil {
		fmt.Fprintf(os.Stderr, "sandbox: orders: %v\n", err)
		return 1
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		for {
			if _, err := in.ReadByte(); err != nil {
				os.Exit(1) // the kernel kills everyone else of this job
			}
			cancel()
		}
	}()
	out := runOrders(ctx, &o, &lineLog{w: os.Stdout})
	r := report{Outcome: out, NotReady: errors.Is(out.Err, ErrNotReady)}
	if out.Err != nil {
		r.Err = out.Err.Error()
	}
	r.Outcome.Err = nil
	json.NewEncoder(os.NewFile(4, "report")).Encode(r)
	return 0
}

// readLine decodes one line of JSON and leaves what follows it.
func readLine(r *bufio.Reader, to any) error {
	line, err := r.ReadBytes('\n')
	if err != nil {
		return err
	}
	return json.Unmarshal(line, to)
}

func runOrders(ctx context.Context, o *orders, log *lineLog) Outcome {
	roles := []string{Server, Client}
	if o.Alone != "" {
		roles = []string{o.Alone}
	}
	s, err := newSandbox(&o.Job, roles, log)
	if err != nil {
		return notRun(err)
	}
	switch {
	case o.Probe:
		return Outcome{Err: s.prepared()}
	case o.Alone != "":
		return s.alone(ctx, o.Alone)
	}
	return playJob(ctx, s, &o.Job)
}

// sandbox is the world of one job on the netns backend, seen from the simulator's namespace.
type sandbox struct {
	job       *Job
	scenario  *netsim.Scenario
	log       *lineLog
	simLog    io.Writer // sim/sim.log and the log
	launchers map[string]*launcher
}

// newSandbox makes the links and starts the launchers of the roles, which prepare while the links are made.
func newSandbox(j *Job, roles []string, log *lineLog) (*sandbox, error) {
	s := &sandbox{job: j, log: log, launchers: map[string]*launcher{}}
	var err error
	if s.scenario, err = netsim.ParseScenario(j.Scenario); err != nil {
		return nil, err
	}
	if err := s.ownSystem(); err != nil {
		return nil, err
	}
	for _, role := range roles {
		if s.launchers[role], err = newLauncher(log.writer(role)); err != nil {
			return nil, fmt.Errorf("namespaces of the %s: %w", role, err)
		}
	}
	for _, role := range roles {
		l := s.launchers[role]
		if err = connect(role, l.process.cmd.Process.Pid); err != nil {
			return nil, err
		}
		if err = json.NewEncoder(l.orders).Encode(launchOf(j, role)); err != nil {
			return nil, fmt.Errorf("orders of the %s: %w", role, err)
		}
	}
	file, err := os.Create(filepath.Join(j.Dir, "sim", "sim.log"))
	if err != nil {
		return nil, err
	}
	s.simLog = io.MultiWriter(file, log.writer("sim"))
	return s, nil
}

// ownSystem gives this process a /proc of its own namespaces, a name, a loopback interface, and a kernel that does not route.
func (s *sandbox) ownSystem() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("private mounts: %w", err)
	}
	mountProc("/proc") // forbidden where parts of /proc are masked; the old one serves then
	if err := unix.Sethostname([]byte("sim")); err != nil {
		return fmt.Errorf("host name: %w", err)
	}
	if err := loopbackUp(); err != nil {
		return err
	}
	return forbidForwarding()
}

// prepared waits until all launchers have built their file systems.
func (s *sandbox) prepared() error {
	for role, l := range s.launchers {
		if err := l.prepared(); err != nil {
			return fmt.Errorf("file system of the %s: %w", role, err)
		}
	}
	return nil
}

// alone runs the program of role without simulator until it ends or ctx does. The kernel answers for the simulator's addresses.
func (s *sandbox) alone(ctx context.Context, role string) (out Outcome) {
	began := time.Now()
	p, err := s.start(role)
	if err != nil {
		out.Err = err
	} else {
		select {
		case <-p.done:
		case <-ctx.Done():
			out.Err = ctx.Err()
			p.kill()
		}
	}
	out.Client, out.Server = exitOf(nil), exitOf(nil)
	if role == Client {
		out.Client = exitOf(p)
	} else {
		out.Server = exitOf(p)
	}
	out.Duration = time.Since(began)
	return out
}

func (s *sandbox) start(role string) (*process, error) {
	if role == Client { // its script waits for the gate before anything else
		if err := s.openGate(); err != nil {
			return nil, err
		}
	}
	return s.launchers[role].release()
}

// openGate lets TCP connections to the simulator succeed, which is how the client's script learns that it runs. Nobody accepts them.
func (s *sandbox) openGate() error {
	_, err := net.Listen("tcp4", gateAuthority)
	return err
}

func (s *sandbox) awaitServer(ctx context.Context, ended <-chan struct{}) error {
	conn, err := net.Dial("udp", serverAuthority)
	if err != nil {
		return err
	}
	defer conn.Close()
	return awaitServer(ctx, conn, ended, readyLimit)
}

func (s *sandbox) cross() (stop func() error, err error) {
	c, err := startCross(s.launchers[Client].process.cmd.Process.Pid, s.launchers[Server].process.cmd.Process.Pid)
	if err != nil {
		return nil, err
	}
	return func() error { return c.stop(s.simLog) }, nil
}

func (s *sandbox) relay(ctx context.Context, ready func()) (netsim.Stats, error) {
	logScenario(s.simLog, s.job)
	stats, err := netsim.RunVeth(ctx, netsim.RelayConfig{
		Left:       leftLink,
		Right:      rightLink,
		LeftMAC:    sides[Client].peerMAC,
		RightMAC:   sides[Server].peerMAC,
		Scenario:   s.scenario,
		Seed:       s.job.Seed,
		LeftTrace:  tracePath(s.job, "left"),
		RightTrace: tracePath(s.job, "right"),
		Log:        s.simLog,
		Ready:      ready,
	})
	logCarried(s.simLog, stats)
	return stats, err
}
