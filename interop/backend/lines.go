package backend

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"time"
)

const (
	maxLine   = 16 << 10 // bytes; a longer line is cut into several
	maxOutput = 32 << 20 // bytes that one program may add to a log
)

// lineLog puts whole lines of several programs, each with its time and origin, into one writer. It is safe for concurrent use.
type lineLog struct {
	mu sync.Mutex // guards w
	w  io.Writer
}

// printf adds one line of who.
func (l *lineLog) printf(who, format string, args ...any) {
	l.write(who, fmt.Appendf(nil, format, args...))
}

// write adds one line, given without its end. The line of a nameless origin is taken as it is: it already has its time.
func (l *lineLog) write(who string, line []byte) {
	var out []byte
	if who != "" {
		now := time.Now()
		out = now.AppendFormat(out, "2006-01-02 15:04:05")
		out = fmt.Appendf(out, ",%03d %s | ", now.Nanosecond()/int(time.Millisecond), who)
	}
	out = append(append(out, line...), '\n')
	l.mu.Lock()
	defer l.mu.Unlock()
	l.w.Write(out) // a log that cannot be written must not end the run
}

// lineWriter cuts what one program writes into lines of a lineLog. It is safe for concurrent use.
type lineWriter struct {
	log *lineLog
	who string

	mu      sync.Mutex // guards all below
	pending []byte     // the beginning of a line
	total   int        // bytes so far
}

func (l *lineLog) writer(who string) *lineWriter { return &lineWriter{log: l, who: who} }

// Write never fails, so that a full disk of ours does not become a broken pipe of theirs.
func (w *lineWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := len(p)
	if w.total >= maxOutput {
		return n, nil
	}
	w.total += n
	for len(p) > 0 {
		end := bytes.IndexByte(p, '\n')
		if end < 0 {
			w.hold(p)
			break
		}
		w.hold(p[:end])
		w.emit(true)
		p = p[end+1:]
	}
	if w.total >= maxOutput {
		w.emit(false)
		w.log.printf(w.who, "[more than %d MiB of output, the rest is not kept]", maxOutput>>20)
	}
	return n, nil
}

// hold adds p, which has no line end, to the pending line and emits what is longer than a line may be.
func (w *lineWriter) hold(p []byte) {
	for len(w.pending)+len(p) > maxLine {
		room := maxLine - len(w.pending)
		w.pending = append(w.pending, p[:room]...)
		p = p[room:]
		w.emit(true)
	}
	w.pending = append(w.pending, p...)
}

// flush emits the pending line, if there is one.
func (w *lineWriter) flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.emit(false)
}

// emit emits the pending line; an empty one only if it was ended.
func (w *lineWriter) emit(ended bool) {
	if ended || len(w.pending) > 0 {
		w.log.write(w.who, bytes.TrimSuffix(w.pending, []byte("\r")))
	}
	w.pending = w.pending[:0]
}
