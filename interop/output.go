package interop

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"regexp"
	"sync"
	"time"
)

// maxLogLine bounds what is held of a line that does not end; a longer one is cut in pieces.
const maxLogLine = 64 << 10

// maxLogBytes bounds one output.txt: an endpoint that logs in a loop fills no disk.
const maxLogBytes = 16 << 20

// An outputLog writes output.txt: every line with its time, terminal colours removed. It is safe for concurrent use.
type outputLog struct {
	mu      sync.Mutex // guards all below
	w       io.WriteCloser
	partial []byte
	written int
	now     func() time.Time
}

func newOutputLog(path string) (*outputLog, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	return &outputLog{w: f, now: time.Now}, nil
}

var terminalEscape = regexp.MustCompile(`\x1b\[[0-9;?]*[A-Za-z]`)

var stamped = regexp.MustCompile(`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} `)

// Write never fails: a log that cannot be written must not stop a run.
func (o *outputLog) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.partial = append(o.partial, p...)
	for {
		n := bytes.IndexByte(o.partial, '\n')
		switch {
		case n >= 0:
			o.line(o.partial[:n])
			o.partial = o.partial[n+1:]
		case len(o.partial) > maxLogLine:
			o.line(o.partial[:maxLogLine])
			o.partial = o.partial[maxLogLine:]
		default:
			return len(p), nil
		}
	}
}

func (o *outputLog) line(text []byte) {
	if o.written > maxLogBytes {
		return
	}
	text = bytes.TrimRight(terminalEscape.ReplaceAll(text, nil), "\r")
	if !stamped.Match(text) { // a backend says itself when its programs spoke
		text = append([]byte(stamp(o.now())+" "), text...)
	}
	n, _ := fmt.Fprintf(o.w, "%s\n", text)
	if o.written += n; o.written > maxLogBytes {
		fmt.Fprintf(o.w, "%s output is longer than %d bytes, the rest is left out\n", stamp(o.now()), maxLogBytes)
	}
}

// stamp formats a time as the existing runner's log does, with a comma before the milliseconds.
func stamp(t time.Time) string {
	return t.Format("2006-01-02 15:04:05") + fmt.Sprintf(",%03d", t.Nanosecond()/1e6)
}

// Close writes an unfinished line and closes the file.
func (o *outputLog) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.flush()
	return o.w.Close()
}

// flush writes an unfinished line as one.
func (o *outputLog) flush() {
	if len(o.partial) > 0 {
		o.line(o.partial)
		o.partial = nil
	}
}

// verdict writes the result with its evidence at the end of output.txt. It ignores the size limit.
func (o *outputLog) verdict(j *JobInfo, res *Result) {
	o.mu.Lock()
	o.flush()
	o.written = 0
	o.mu.Unlock()
	fmt.Fprintf(o, "Test: %s took %.1f s, status: %s\n", j, res.Duration.Seconds(), res.Status)
	if res.Reason != "" {
		fmt.Fprintf(o, "Reason: %s\n", res.Reason)
	}
	for _, e := range res.Evidence {
		fmt.Fprintf(o, "Evidence: %s\n", e)
	}
}

// String returns the observation on one line.
func (e Evidence) String() string {
	s := e.Criterion + ": observed " + e.Observed
	if e.Expected != "" {
		s += ", expected " + e.Expected
	}
	if w := e.Where(); w != "" {
		s += " (" + w + ")"
	}
	return s
}
