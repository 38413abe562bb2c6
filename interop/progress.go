package interop

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// PlainProgress writes a line per finished job and per note, for logs and pipes.
type PlainProgress struct {
	W     io.Writer
	Debug bool // also say when a job starts

	total, done int
}

var _ Watcher = (*PlainProgress)(nil)

// Begin says how much there is to do.
func (p *PlainProgress) Begin(total int, _ time.Time) {
	p.total = total
	unit := "jobs"
	if total == 1 {
		unit = "job"
	}
	fmt.Fprintf(p.W, "%d %s\n", total, unit)
}

// Note writes text as a line.
func (p *PlainProgress) Note(text string) { fmt.Fprintln(p.W, text) }

// Started says which job starts, when Debug is set.
func (p *PlainProgress) Started(j *JobInfo) {
	if p.Debug {
		fmt.Fprintf(p.W, "start    %s (seed %d)\n", j, uint64(j.Seed))
	}
}

// Finished writes the verdict and, for a failed job, the reason.
func (p *PlainProgress) Finished(j *JobInfo, res *Result) {
	if res == nil {
		p.total--
		return
	}
	p.done++
	fmt.Fprintf(p.W, "%3d/%d  %s\n", p.done, p.total, resultLine(j, res))
}

func resultLine(j *JobInfo, res *Result) string {
	s := fmt.Sprintf("%s %-12s client %-9s server %-9s %5.1fs", markOf(res.Status).symbol, j.Case.Name, j.Client.Name, j.Server.Name,
		res.Duration.Seconds())
	if j.Repetition > 1 {
		s += fmt.Sprintf(" #%d", j.Repetition)
	}
	if res.Status != Succeeded && res.Reason != "" {
		s += "  " + res.Reason
	}
	return s
}

// LiveProgress keeps one status line at the bottom of a terminal and writes failures and notes above it.
type LiveProgress struct {
	W      io.Writer
	Width  func() int // columns of the terminal
	Colour bool

	begin               time.Time
	total, done, failed int
	running             []*JobInfo
	shown               bool
	now                 func() time.Time
}

var _ Watcher = (*LiveProgress)(nil)

// Begin says how much there is to do.
func (p *LiveProgress) Begin(total int, at time.Time) {
	p.total, p.begin = total, at
	p.draw()
}

// Note writes text above the status line.
func (p *LiveProgress) Note(text string) {
	p.erase()
	fmt.Fprintln(p.W, text)
	p.draw()
}

// Started adds the job to those shown as running.
func (p *LiveProgress) Started(j *JobInfo) {
	p.running = append(p.running, j)
	p.draw()
}

// Finished removes the job from the status line; a failed one gets a line of its own with the reason.
func (p *LiveProgress) Finished(j *JobInfo, res *Result) {
	p.running = slices.DeleteFunc(p.running, func(o *JobInfo) bool { return o == j })
	if res == nil {
		p.total--
		p.draw()
		return
	}
	p.done++
	if res.Status == Failed {
		p.failed++
		p.erase()
		line := resultLine(j, res)
		if p.Colour {
			line = markOf(Failed).colour + line + colourReset
		}
		fmt.Fprintln(p.W, line)
	}
	p.draw()
}

// Tick redraws the clock. The runner calls it once a second.
func (p *LiveProgress) Tick() { p.draw() }

// End removes the status line.
func (p *LiveProgress) End() { p.erase() }

func (p *LiveProgress) erase() {
	if p.shown {
		fmt.Fprint(p.W, "\r\x1b[K")
		p.shown = false
	}
}

func (p *LiveProgress) draw() {
	p.shown = true
	fmt.Fprintf(p.W, "\r\x1b[K%s", p.status())
}

// status is the line, cut to the terminal: a longer one would wrap and could not be erased.
func (p *LiveProgress) status() string {
	now := time.Now
	if p.now != nil {
		now = p.now
	}
	s := fmt.Sprintf("%d/%d done, %d failed, %s", p.done, p.total, p.failed, now().Sub(p.begin).Truncate(time.Second))
	var names []string
	for _, j := range p.running {
		names = append(names, fmt.Sprintf("%s %s→%s", j.Case.Name, j.Client.Name, j.Server.Name))
	}
	switch {
	case len(names) > 0:
		s += " · " + strings.Join(names, ", ")
	case p.done < p.total:
		s += " · preparing"
	}
	line := []rune(s)
	if width := p.Width(); width > 1 && len(line) >= width {
		line = append(line[:width-2], '…')
	}
	return string(line)
}
