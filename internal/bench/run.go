package bench

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/seed51309289/quiver/interop/certs"
	"github.com/seed51309289/quiver/peers"
)

// Stacks that can be compared with, besides Quiver itself.
var others = map[string]string{
	"quic-go": "benchquicgo",
	"tcp-tls": "benchtls",
}

// Stacks returns the names that Options.Versus may hold.
func Stacks() []string { return []string{"quic-go", "tcp-tls"} }

// Options says what to measure. Every field is needed.
type Options struct {
	Self    []string // the program that runs Serve and Fetch: arguments "server" and "client" follow
	Versus  []string
	Bytes   uint64
	Streams []int
	Rounds  int
	Pin     bool // server on one processor, client on another
	Tuning
	Log io.Writer
}

// Tuning is what can be chosen of Quiver alone; the others have settings of their own.
type Tuning struct {
	// Datagram bounds the size of datagrams, in bytes of UDP payload; 0 = what path MTU discovery finds.
	Datagram int
	// Congestion names the congestion controller; "" = the default.
	Congestion string
}

// Run is one transfer of one stack. CPU times are of the whole processes, user
// and system, in seconds.
type Run struct {
	Stack     string  `json:"stack"`
	Streams   int     `json:"streams"`
	Round     int     `json:"round"`
	Bytes     uint64  `json:"bytes"`
	Seconds   float64 `json:"seconds"`
	ServerCPU float64 `json:"server_cpu_seconds"`
	ClientCPU float64 `json:"client_cpu_seconds"`
	Load      float64 `json:"load"` // of the machine, just before
}

// PerGiB returns the CPU-seconds of both sides per GiB.
func (r *Run) PerGiB() float64 { return r.perGiB(r.ServerCPU + r.ClientCPU) }

func (r *Run) perGiB(cpu float64) float64 { return cpu / float64(r.Bytes) * (1 << 30) }

// side is a stack's two command lines.
type side struct {
	name           string
	server, client []string
}

// All runs every stack in every round, in rotated order, and returns the runs.
func All(ctx context.Context, o Options) ([]Run, error) {
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
	var runs []Run
	for _, streams := range o.Streams {
		for round := range o.Rounds {
			for i := range stacks {
				s := stacks[(i+round)%len(stacks)]
				r, err := once(ctx, &o, s, dir, streams)
				if err != nil {
					return runs, fmt.Errorf("%s, round %d: %w", s.name, round+1, err)
				}
				r.Round = round + 1
				fmt.Fprintf(o.Log, "round %d/%d  %-8s %3d stream(s)  %.2f CPU-s/GiB (server %.2f + client %.2f)  %5.0f Mbit/s\n",
					r.Round, o.Rounds, r.Stack, r.Streams, r.PerGiB(), r.perGiB(r.ServerCPU), r.perGiB(r.ClientCPU), float64(r.Bytes)*8/r.Seconds/1e6)
				runs = append(runs, *r)
			}
		}
	}
	return runs, nil
}

// prepare builds the foreign stacks.
func prepare(ctx context.Context, o *Options) ([]side, error) {
	own := func(role string) []string {
		return append(slices.Clone(o.Self), role, "-datagram", fmt.Sprint(o.Datagram), "-cc", o.Congestion)
	}
	stacks := []side{{"quiver", own("server"), own("client")}}
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

// limit bounds one transfer.
const limit = 5 * time.Minute

// once moves the bytes from a fresh server to a fresh client.
func once(ctx context.Context, o *Options, s side, dir string, streams int) (*Run, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	r := &Run{Stack: s.name, Streams: streams, Bytes: o.Bytes, Load: loadAverage()}
	server := exec.CommandContext(ctx, s.server[0], append(s.server[1:], "-listen", "127.0.0.1:0",
		"-cert", filepath.Join(dir, "cert.pem"), "-key", filepath.Join(dir, "priv.key"))...)
	stdout, err := server.StdoutPipe()
	if err != nil {
		return nil, err
	}
	var serverErr, clientErr, result bytes.Buffer
	server.Stderr = &serverErr
	if err := start(server, o.Pin, 0); err != nil {
		return nil, err
	}
	stopped := false
	stop := func() {
		if !stopped {
			stopped = true
			server.Process.Signal(syscall.SIGTERM)
			server.Wait() // it was told to go; how it went does not matter
		}
	}
	defer stop()
	addr, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("server: %w: %s", err, &serverErr)
	}
	client := exec.CommandContext(ctx, s.client[0], append(s.client[1:], "-addr", strings.TrimSpace(addr),
		"-bytes", fmt.Sprint(o.Bytes), "-streams", fmt.Sprint(streams))...)
	client.Stdout, client.Stderr = &result, &clientErr
	if err := start(client, o.Pin, 1); err != nil {
		return nil, err
	}
	if err := client.Wait(); err != nil {
		return nil, fmt.Errorf("client: %w: %s", err, &clientErr)
	}
	stop()
	var t transfer
	if err := json.Unmarshal(result.Bytes(), &t); err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	r.Seconds = t.Seconds
	r.ServerCPU, r.ClientCPU = cpu(server), cpu(client)
	return r, nil
}

func cpu(c *exec.Cmd) float64 {
	return (c.ProcessState.UserTime() + c.ProcessState.SystemTime()).Seconds()
}

// start begins a process, bound to one processor if pin is set and there are
// enough of them.
func start(c *exec.Cmd, pin bool, cpu int) error {
	if !pin || runtime.NumCPU() < 2 {
		return c.Start()
	}
	return startPinned(c, cpu)
}
