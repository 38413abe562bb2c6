package interop

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/seed51309289/quiver/interop/check"
)

// A Status is the verdict on one cell in the words of result.json.
type Status string

// The verdicts. NotRun is null in result.json: the pair is unavailable or not compliant, or the run was cut short.
const (
	NotRun      Status = ""
	Succeeded   Status = "succeeded"
	Unsupported Status = "unsupported"
	Failed      Status = "failed"
)

// A Result is one finished job.
type Result struct {
	Client     string        `json:"client"`
	Server     string        `json:"server"`
	Test       string        `json:"test"`
	Repetition int           `json:"repetition"` // from 1
	Status     Status        `json:"result"`
	Reason     string        `json:"reason,omitempty"`
	Evidence   []Evidence    `json:"evidence,omitempty"`
	Goodput    float64       `json:"goodput_kbps,omitempty"` // of a measurement
	Log        string        `json:"log"`                    // directory of the run, relative to the log directory, with slashes
	Started    time.Time     `json:"started"`
	Duration   time.Duration `json:"duration_ns"`
}

// Evidence is one observation behind a verdict.
type Evidence struct {
	Criterion string  `json:"criterion"`
	Trace     string  `json:"trace,omitempty"`  // which trace, "" when the observation is not about a packet
	Packet    int     `json:"packet,omitempty"` // frame number in it, from 1; 0 = none
	Seconds   float64 `json:"seconds,omitempty"`
	Observed  string  `json:"observed"`
	Expected  string  `json:"expected"`
}

func evidenceOf(list []check.Evidence) []Evidence {
	var out []Evidence
	for _, e := range list {
		out = append(out, Evidence{
			Criterion: e.Criterion, Trace: e.Trace, Packet: e.Packet,
			Seconds: math.Round(e.Time.Seconds()*1e6) / 1e6, Observed: e.Observed, Expected: e.Expected,
		})
	}
	return out
}

// Where names the packet, such as "right #12 at 0.031 s"; "" when there is none.
func (e Evidence) Where() string {
	if e.Packet == 0 {
		return e.Trace
	}
	return fmt.Sprintf("%s #%d at %.6f s", e.Trace, e.Packet, e.Seconds)
}

// A Party is one implementation in a run.
type Party struct {
	Name        string `json:"name"`
	URL         string `json:"url,omitempty"`
	Version     string `json:"version,omitempty"`     // what was installed or which command was run
	Unavailable string `json:"unavailable,omitempty"` // why it could not take part, "" when it could
}

// A Report is everything that one run found out. Build it with Run; write it with Store.Finish.
type Report struct {
	Start, End   time.Time
	LogDir       string // as given by the user
	Seed         Seed
	Repeat       int // runs per cell
	Jobs         int // jobs side by side
	Backend      string
	BackendNote  string // why this backend was chosen, "" when asked for
	Interrupted  bool
	Clients      []Party
	Servers      []Party
	Cases        []Case
	Cells        [][]Cell // Cells[Index(client, server)][case]
	RerunCommand string   // how this program is called, with the options that every re-run needs
}

// A Cell is one test of one pair: all its repetitions.
type Cell struct {
	Skipped         bool     // the pair is left out by --must-include
	Results         []Result // by repetition; empty when not run
	AutoUnsupported bool     // failed or unsupported against every peer: the existing runner would call it unsupported
}

// Index returns where in Cells the pair stands: client-major, as in result.json.
func (r *Report) Index(client, server int) int { return client*len(r.Servers) + server }

// Result returns the deciding repetition: the first failed one, else the first that did not succeed, else the first. It is
// the zero Result when there is none.
func (c *Cell) Result() Result {
	if len(c.Results) == 0 {
		return Result{}
	}
	n := slices.IndexFunc(c.Results, func(r Result) bool { return r.Status == Failed })
	if n < 0 {
		n = max(0, slices.IndexFunc(c.Results, func(r Result) bool { return r.Status != Succeeded }))
	}
	return c.Results[n]
}

// add puts a repetition in its place.
func (c *Cell) add(res Result) {
	n := slices.IndexFunc(c.Results, func(o Result) bool { return o.Repetition > res.Repetition })
	if n < 0 {
		n = len(c.Results)
	}
	c.Results = slices.Insert(c.Results, n, res)
}

// Status returns the verdict of the deciding repetition.
func (c *Cell) Status() Status { return c.Result().Status }

// Details returns the mean of a measurement and its sample standard deviation as "9559 (± 12) kbps", or "" when not all
// of its runs succeeded.
func (c *Cell) Details() string {
	var values []float64
	for i := range c.Results {
		if c.Results[i].Status != Succeeded {
			return ""
		}
		values = append(values, c.Results[i].Goodput)
	}
	if len(values) == 0 {
		return ""
	}
	mean, deviation := meanOf(values)
	return fmt.Sprintf("%.0f (± %.0f) kbps", mean, deviation)
}

// meanOf returns the arithmetic mean and the sample standard deviation, which for one value is 0.
func meanOf(values []float64) (mean, deviation float64) {
	for _, v := range values {
		mean += v / float64(len(values))
	}
	if len(values) < 2 {
		return mean, 0
	}
	for _, v := range values {
		deviation += (v - mean) * (v - mean)
	}
	return mean, math.Sqrt(deviation / float64(len(values)-1))
}

// tests and measurements return the columns of the two tables, as indexes into Cases.
func (r *Report) tests() []int { return r.columns(false) }

func (r *Report) measurements() []int { return r.columns(true) }

func (r *Report) columns(measures bool) []int {
	var list []int
	for i := range r.Cases {
		if r.Cases[i].Measures() == measures {
			list = append(list, i)
		}
	}
	return list
}

// Count returns how many cells have the status.
func (r *Report) Count(s Status) int {
	n := 0
	for _, pair := range r.Cells {
		for i := range pair {
			if !pair[i].Skipped && pair[i].Status() == s {
				n++
			}
		}
	}
	return n
}

// Failures returns the deciding result of every failed cell, client by client.
func (r *Report) Failures() []Result {
	var list []Result
	for _, pair := range r.Cells {
		for i := range pair {
			if pair[i].Status() == Failed {
				list = append(list, pair[i].Result())
			}
		}
	}
	return list
}

// Unavailable returns every implementation that could not take part, as "name (role): reason".
func (r *Report) Unavailable() []string {
	var list []string
	add := func(role string, parties []Party) {
		for _, p := range parties {
			if p.Unavailable != "" {
				list = append(list, fmt.Sprintf("%s (%s): %s", p.Name, role, p.Unavailable))
			}
		}
	}
	add(RoleClient, r.Clients)
	add(RoleServer, r.Servers)
	return list
}

// Rerun returns the command line that runs just this cell again with the same seed.
func (r *Report) Rerun(res Result) string {
	s := fmt.Sprintf("%s -s %s -c %s -t %s --seed %d", r.RerunCommand, res.Server, res.Client, res.Test, uint64(r.Seed))
	if r.Repeat > 1 {
		s += fmt.Sprintf(" --repeat %d", r.Repeat)
	}
	return s
}

// markAutoUnsupported sets the hint on cells that failed or were unsupported against every peer of a role with more than
// one member, as the existing runner does; exempt implementations are left alone. Verdicts stay what they are.
func (r *Report) markAutoUnsupported(exempt []string) {
	for _, t := range r.tests() {
		for c := range r.Clients {
			r.markRow(exempt, r.Clients[c].Name, len(r.Servers), func(s int) *Cell { return &r.Cells[r.Index(c, s)][t] })
		}
		for s := range r.Servers {
			r.markRow(exempt, r.Servers[s].Name, len(r.Clients), func(c int) *Cell { return &r.Cells[r.Index(c, s)][t] })
		}
	}
}

func (r *Report) markRow(exempt []string, name string, n int, cell func(int) *Cell) {
	if n < 2 || slices.Contains(exempt, name) {
		return
	}
	for i := range n {
		if s := cell(i).Status(); s != Failed && s != Unsupported {
			return
		}
	}
	for i := range n {
		cell(i).AutoUnsupported = true
	}
}

// Notes returns what a reader of the matrix should know, one line each: who could not take part, failures against every
// peer, and for each failed cell the reason and the command that runs it again.
func (r *Report) Notes() []string {
	var notes []string
	for _, u := range r.Unavailable() {
		notes = append(notes, "Unavailable: "+u)
	}
	for _, pair := range r.Cells {
		for i := range pair {
			if pair[i].Status() == Failed {
				notes = append(notes, r.failureNotes(&pair[i])...)
			}
		}
	}
	return notes
}

func (r *Report) failureNotes(cell *Cell) []string {
	res := cell.Result()
	notes := []string{fmt.Sprintf("Failed: %s, client %s, server %s: %s", res.Test, res.Client, res.Server, res.Reason)}
	if cell.AutoUnsupported {
		notes = append(notes, "  it failed against every peer; the existing runner would call it unsupported")
	}
	return append(notes, "  again: "+r.Rerun(res))
}

// Planned returns how many cells the run was to fill.
func (r *Report) Planned() int {
	n := 0
	for _, pair := range r.Cells {
		for i := range pair {
			if !pair[i].Skipped {
				n++
			}
		}
	}
	return n
}

// Ran returns how many cells have a verdict.
func (r *Report) Ran() int { return r.Planned() - r.Count(NotRun) }

// ShellQuote makes s one word of a command line that a user can paste.
func ShellQuote(s string) string {
	if s != "" && !strings.ContainsFunc(s, func(c rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./=,:@+%", c)
	}) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
