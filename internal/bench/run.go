package bench

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/seed51309289/quiver/interop/certs"
	"github.com/seed51309289/quiver/peers"
	"github.com/seed51309289/quiver/peers/perf"
)

// Names of stacks.
const (
	Quiver = "quiver"
	QuicGo = "quic-go"
	XNet   = "x-net"
	TLS    = "tcp-tls"
)

// others are the programs of the stacks that can be compared with.
var others = map[string]string{
	QuicGo: "benchquicgo",
	XNet:   "benchxnet",
	TLS:    "benchtls",
}

// lacks are works that a stack cannot do.
var lacks = map[string][]string{XNet: {"resumed"}}

// Stacks returns the names that Options.Versus may hold.
func Stacks() []string { return []string{QuicGo, TLS, XNet} }

// Places between client and server.
const (
	Loopback = "loopback" // of this machine, MTU 64 KiB
	Veth     = "veth"     // a link between two network namespaces, MTU 1500, no segmentation offloads
)

// Places returns the names that Options.Over may hold.
func Places() []string { return []string{Loopback, Veth} }

// Options says what to measure. Every field is needed, but those that say otherwise.
type Options struct {
	Self   []string // the program that runs perf.Main with Stack: arguments "server" and "client" follow
	Versus []string // besides Quiver
	Works  []Work
	Over   []string
	Pin    []bool // true: server on one processor, client on another
	Rounds int
	// Tuning is for Quiver alone; the others have settings of their own.
	Tuning  perf.Options
	Profile string // directory for CPU profiles of all processes; "" = none
	Log     io.Writer
}

// Run is one run of one stack. CPU times are of the whole processes, user and
// system, in seconds.
type Run struct {
	Setting
	Work      string      `json:"work"`
	Stack     string      `json:"stack"`
	Round     int         `json:"round"`
	N         uint64      `json:"n"` // bytes, operations or connections
	Seconds   float64     `json:"seconds"`
	ServerCPU float64     `json:"server_cpu_seconds"`
	ClientCPU float64     `json:"client_cpu_seconds"`
	P50       float64     `json:"p50_us,omitempty"`
	P99       float64     `json:"p99_us,omitempty"`
	Server    perf.Memory `json:"server"`          // at the end
	Client    perf.Memory `json:"client"`          // at the end
	Empty     perf.Memory `json:"server_empty"`    // of idle: before the first connection
	Idle      perf.Memory `json:"server_idle"`     // of idle: with all connections, garbage gone
	Kernel    Counters    `json:"kernel"`          // of the server's network namespace, during the run
	Load      float64     `json:"load"`            // of the machine, just before
	Err       string      `json:"error,omitempty"` // why it has no figures
}

// side is a stack's two command lines.
type side struct {
	name           string
	server, client []string
}

// Measure runs every work with every stack in every round, in rotated order,
// and returns the runs. A run that fails is among them and does not stop the
// others; a place that cannot be had is an error once the others are done.
func Measure(ctx context.Context, o Options) ([]Run, error) {
	dir, err := os.MkdirTemp("", "quiver-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if err := certs.Generate(dir, 1, time.Now(), rand.Reader); err != nil {
		return nil, err
	}
	stacks, err := prepare(ctx, &o)
	if err != nil {
		return nil, err
	}
	m := &measurement{Options: o, dir: dir, stacks: stacks}
	for _, over := range o.Over {
		if err := m.over(ctx, over); err != nil {
			m.failed = append(m.failed, err.Error())
		}
		if ctx.Err() != nil {
			return m.runs, ctx.Err()
		}
	}
	if len(m.failed) > 0 {
		return m.runs, fmt.Errorf("not all was measured: %s", strings.Join(m.failed, "; "))
	}
	return m.runs, nil
}

// measurement is what Measure has so far.
type measurement struct {
	Options
	dir    string // certificates
	stacks []side
	runs   []Run
	failed []string
}

// over runs all that is to run at one place.
func (m *measurement) over(ctx context.Context, over string) error {
	p, err := openPlace(over)
	if err != nil {
		return err
	}
	defer p.close()
	for _, pin := range m.Pin {
		for round := range m.Rounds {
			for _, w := range m.Works {
				for i := range m.stacks {
					s := m.stacks[(i+round)%len(m.stacks)]
					if slices.Contains(lacks[s.name], w.Name) {
						continue
					}
					if ctx.Err() != nil {
						return ctx.Err()
					}
					m.once(ctx, p, s, w, Run{Setting: Setting{over, pin}, Work: w.Name, Stack: s.name, Round: round + 1})
				}
			}
		}
	}
	return nil
}

// once does one run and says how it went.
func (m *measurement) once(ctx context.Context, p place, s side, w Work, r Run) {
	err := m.run(ctx, p, s, w, &r)
	head := fmt.Sprintf("%s, %s, round %d/%d, %s", r.Over, r.Work, r.Round, m.Rounds, r.Stack)
	if err != nil {
		r.Err = err.Error()
		m.failed = append(m.failed, head+": "+r.Err)
		fmt.Fprintf(m.Log, "%s: %s\n", head, r.Err)
	} else {
		var figures []string
		for _, f := range metricsOf(r.Work) {
			figures = append(figures, number(f.of(&r))+" "+f.name)
		}
		fmt.Fprintf(m.Log, "%s: %s\n", head, strings.Join(figures, ", "))
	}
	m.runs = append(m.runs, r)
}

// prepare builds the foreign stacks.
func prepare(ctx context.Context, o *Options) ([]side, error) {
	own := func(role string) []string {
		return append(slices.Clone(o.Self), role, "-datagram", fmt.Sprint(o.Tuning.Datagram), "-cc", o.Tuning.Congestion)
	}
	stacks := []side{{Quiver, own("server"), own("client")}}
	for _, name := range o.Versus {
		program, ok := others[name]
		if !ok {
			return nil, fmt.Errorf("stack %q: want one of %s", name, strings.Join(Stacks(), ", "))
		}
		bin, err := peers.BuildEmbedded(ctx, program, "", o.Log)
		if err != nil {
			return nil, err
		}
		stacks = append(stacks, side{name, []string{bin, "server"}, []string{bin, "client"}})
	}
	return stacks, nil
}
