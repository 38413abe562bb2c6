package backend

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/seed51309289/quiver/netsim"
)

const (
	defaultTimeout = time.Minute
	drainTime      = 100 * time.Millisecond // after the client's end, for its last packets to cross the link
	relayEndLimit  = 5 * time.Second        // for the simulator to close its traces
)

var errServerEnded = errors.New("server ended")

// world is what a backend makes for one job: a place for the two programs and the simulator between them.
type world interface {
	// start starts the program of role and returns once it executes.
	start(role string) (*process, error)
	// awaitServer returns once the server answers the readiness probe.
	awaitServer(ctx context.Context, ended <-chan struct{}) error
	// relay carries packets until ctx ends. It calls ready once it does.
	relay(ctx context.Context, ready func()) (netsim.Stats, error)
	// cross lets a TCP flow compete with the programs, which have both been started; stop ends it.
	cross() (stop func() error, err error)
}

// play is one job in its world: server, readiness, simulator, client, and the end of all of them.
type play struct {
	world  world
	job    *Job
	client *process // nil until started
	server *process
	relay  *relaying
	cross  func() error // ends the cross traffic; nil without
	out    Outcome
}

// relaying is the simulator at work.
type relaying struct {
	cancel context.CancelFunc
	ready  chan struct{}
	done   chan struct{} // closed at its end; stats and err are valid then
	stats  netsim.Stats
	err    error
}

func (r *relaying) ended() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

// playJob runs j in w. The deadline of j covers everything from the start of the server to the end of the client.
func playJob(ctx context.Context, w world, j *Job) Outcome {
	began := time.Now()
	timeout := j.Timeout
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	p := &play{world: w, job: j}
	err := p.acts(limited)
	switch {
	case ctx.Err() != nil:
		err = ctx.Err()
	case limited.Err() != nil:
		p.out.TimedOut, err = true, nil
	}
	p.out.Err = errors.Join(err, p.end(limited))
	p.out.Client, p.out.Server = exitOf(p.client), exitOf(p.server)
	p.out.Duration = time.Since(began)
	return p.out
}

// acts are the steps in their order; it returns when one of the programs has ended.
func (p *play) acts(ctx context.Context) (err error) {
	if p.server, err = p.world.start(Server); err != nil {
		return fmt.Errorf("server: %w", err)
	}
	if p.job.WaitForServer {
		if err := p.world.awaitServer(ctx, p.server.done); err != nil {
			return p.notReady(err)
		}
	}
	if p.startRelay(ctx); p.relay.ended() {
		return nil
	}
	if p.client, err = p.world.start(Client); err != nil {
		return fmt.Errorf("client: %w", err)
	}
	if p.job.CrossTraffic {
		if p.cross, err = p.world.cross(); err != nil {
			return err
		}
	}
	select {
	case <-p.client.done:
	case <-p.server.done:
	case <-p.relay.done: // on its own, which end reports
	case <-ctx.Done():
	}
	return nil
}

// notReady turns the end of a server that was waited for into the outcome's words. Status 127 speaks for itself.
func (p *play) notReady(err error) error {
	if !errors.Is(err, errServerEnded) {
		return err
	}
	if exit := exitOf(p.server); exit.Code != 127 {
		return fmt.Errorf("%w: it ended with %v before it answered", ErrNotReady, exit)
	}
	return nil
}

// startRelay returns once packets can cross, or when the simulator has ended instead, which end reports.
func (p *play) startRelay(ctx context.Context) {
	rctx, cancel := context.WithCancel(context.WithoutCancel(ctx)) // it outlives the deadline by the end of the programs
	r := &relaying{cancel: cancel, ready: make(chan struct{}), done: make(chan struct{})}
	p.relay = r
	go func() {
		defer close(r.done)
		r.stats, r.err = p.world.relay(rctx, func() { close(r.ready) })
	}()
	select {
	case <-r.ready:
	case <-r.done:
	case <-ctx.Done():
	}
}

// end ends what still runs: with a grace time as long as ctx lasts, otherwise at once.
func (p *play) end(ctx context.Context) error {
	var crossed error
	if p.cross != nil {
		crossed = p.cross()
	}
	p.endPrograms(ctx)
	if p.relay == nil {
		return crossed
	}
	return errors.Join(crossed, p.endRelay())
}

func (p *play) endRelay() error {
	early := p.relay.ended()
	p.relay.cancel()
	select {
	case <-p.relay.done:
		p.out.Sim = p.relay.stats
		if early {
			return fmt.Errorf("simulator: ended before the programs: %w", p.relay.err)
		}
		return p.relay.err
	case <-time.After(relayEndLimit):
		return fmt.Errorf("simulator: still busy %v after the end", relayEndLimit)
	}
}

func (p *play) endPrograms(ctx context.Context) {
	if p.client != nil && p.client.ended() {
		select {
		case <-p.server.done:
		case <-ctx.Done():
		case <-time.After(drainTime):
		}
	}
	for _, one := range []*process{p.client, p.server} {
		if one != nil {
			one.stop(ctx)
		}
	}
}

// logScenario and logCarried are the first and the last line of a simulator's log.
func logScenario(w io.Writer, j *Job) {
	fmt.Fprintf(w, "Using scenario: %s\nUsing seed: %d\n", j.Scenario, j.Seed)
}

func logCarried(w io.Writer, stats netsim.Stats) {
	text, _ := json.Marshal(stats)
	fmt.Fprintf(w, "Carried: %s\n", text)
}

func exitOf(p *process) Exit {
	if p == nil || !p.ended() {
		return Exit{Code: -1}
	}
	return p.exit
}

// notRun is the outcome of a job in which nothing was started, because of err.
func notRun(err error) Outcome {
	return Outcome{Client: exitOf(nil), Server: exitOf(nil), Err: err}
}
