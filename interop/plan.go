package interop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"time"

	"github.com/seed51309289/quiver/interop/backend"
	"github.com/seed51309289/quiver/interop/check"
)

// maxRepeat bounds the runs per cell.
const maxRepeat = 1000

// maxJobs bounds the jobs side by side.
const maxJobs = 256

// A Runner is what executes the two programs of a job; backend.Pick returns one.
type Runner interface {
	Name() string
	Places(j *backend.Job, role string) (backend.Places, error)
	Run(ctx context.Context, j *backend.Job, log io.Writer) backend.Outcome
	Compliance(ctx context.Context, role string, p backend.Program, log io.Writer) (backend.Exit, error)
}

// A Plan says what to run. Clients, Servers, Cases and Backend are required; the zero value of the rest is its default.
type Plan struct {
	Clients, Servers []*Implementation
	Cases            []Case
	Backend          Runner
	BackendNote      string // why this backend was chosen

	Seed         Seed
	Jobs         int      // jobs side by side; 0 = as many as the processors allow
	Repeat       int      // runs per cell; 0 = 1; measurements have at least their own number
	MustInclude  string   // only pairs with this implementation; "" = all
	Exempt       []string // implementations that the auto-unsupported hint leaves alone
	SaveFiles    bool     // keep served and downloaded files of failed runs
	Params       Parameters
	LogDir       string // as the user gave it
	RerunCommand string // how to call the program again
	Self         string // the quiver program, for {self}

	// Install builds a Go package@version and returns the program's path.
	Install func(ctx context.Context, pkg string, log io.Writer) (string, error)
	// Judge gives the verdict on a run whose programs ended well; nil = check.Judge.
	Judge func(in check.Input) check.Verdict
	// Watch hears of every step; nil = nobody does.
	Watch Watcher
}

// A Watcher hears what a run does. Its methods are called from several goroutines, one at a time.
type Watcher interface {
	Begin(total int, at time.Time)
	Note(text string)
	Started(j *JobInfo)
	Finished(j *JobInfo, res *Result) // res is nil for a job that was cut short or cannot run
}

// JobInfo names one job.
type JobInfo struct {
	Client, Server *Implementation
	Case           *Case
	Repetition     int // from 1
	Seed           Seed

	pair, column int // place in the report
}

// String returns the job as "transfer: client quiver, server quic-go".
func (j *JobInfo) String() string {
	s := fmt.Sprintf("%s: client %s, server %s", j.Case.Name, j.Client.Name, j.Server.Name)
	if j.Repetition > 1 {
		s += " #" + strconv.Itoa(j.Repetition)
	}
	return s
}

// DefaultJobs returns how many jobs run side by side unless told. A job mostly waits for its simulated 10 Mbit/s link, so
// a processor carries several.
func DefaultJobs() int { return min(3*runtime.NumCPU(), 24) }

// Check completes the plan with its defaults and says what is wrong with it.
func (p *Plan) Check() error {
	if p.Jobs == 0 {
		p.Jobs = DefaultJobs()
	}
	if p.Repeat == 0 {
		p.Repeat = 1
	}
	if p.Judge == nil {
		p.Judge = check.Judge
	}
	if p.Jobs < 1 || p.Jobs > maxJobs {
		return fmt.Errorf("%d jobs, want 1 to %d", p.Jobs, maxJobs)
	}
	if p.Repeat < 1 || p.Repeat > maxRepeat {
		return fmt.Errorf("%d repetitions, want 1 to %d", p.Repeat, maxRepeat)
	}
	if len(p.Clients) == 0 || len(p.Servers) == 0 {
		return errors.New("no client or no server to run")
	}
	return p.checkDirectories()
}

// checkDirectories finds pairs whose names make the same <server>_<client>.
func (p *Plan) checkDirectories() error {
	seen := map[string]bool{}
	for _, c := range p.Clients {
		for _, s := range p.Servers {
			dir := pairDir(s.Name, c.Name)
			if seen[dir] {
				return fmt.Errorf("two pairs would share the log directory %s; rename an implementation that has a _ in its name", dir)
			}
			seen[dir] = true
		}
	}
	return nil
}

func pairDir(server, client string) string { return server + "_" + client }

// includes reports whether the pair is to run.
func (p *Plan) includes(c, s *Implementation) bool {
	return p.MustInclude == "" || p.MustInclude == c.Name || p.MustInclude == s.Name
}

// jobs returns all jobs, the longest first, so that no long one is left alone at the end.
func (p *Plan) jobs() []*JobInfo {
	var list []*JobInfo
	for ci, c := range p.Clients {
		for si, s := range p.Servers {
			if !p.includes(c, s) {
				continue
			}
			for t := range p.Cases {
				for rep := 1; rep <= p.runsOf(&p.Cases[t]); rep++ {
					list = append(list, &JobInfo{
						Client: c, Server: s, Case: &p.Cases[t], Repetition: rep,
						Seed: p.Seed.Job(c.Name, s.Name, p.Cases[t].Name, rep),
						pair: ci*len(p.Servers) + si, column: t,
					})
				}
			}
		}
	}
	slices.SortStableFunc(list, func(a, b *JobInfo) int { return int(b.Case.Expect - a.Case.Expect) })
	return list
}

// runsOf returns how often a case runs for each pair.
func (p *Plan) runsOf(c *Case) int { return max(c.Runs, p.Repeat) }

// dir returns the job's directory below the log directory.
func (p *Plan) dir(j *JobInfo) string {
	dir := filepath.Join(pairDir(j.Server.Name, j.Client.Name), j.Case.Name)
	if p.runsOf(j.Case) > 1 {
		dir = filepath.Join(dir, strconv.Itoa(j.Repetition))
	}
	return dir
}
