package quic

import (
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"time"
)

// maxLeakStack bounds the stack that is kept of a stream, in calls.
const maxLeakStack = 32

// watchLeak looks at a stream again after Config.StreamLeakAfter. how is the
// call by which the program got it, which is on the stack. The caller holds c.mu.
func (c *Conn) watchLeak(s *Stream, how string) {
	if c.notes == nil || c.notes.leakAfter <= 0 {
		return
	}
	stack := make([]uintptr, maxLeakStack)
	stack = stack[:runtime.Callers(2, stack)]
	time.AfterFunc(c.notes.leakAfter, func() { c.tellLeak(s, how, stack) })
}

// tellLeak tells of a stream that is still open.
func (c *Conn) tellLeak(s *Stream, how string, stack []uintptr) {
	c.mu.Lock()
	if !c.core.Over(s.in.s) {
		c.noteAt(slog.LevelWarn, "stream is open for long", slog.Uint64("stream", s.in.s.ID()),
			slog.Duration("after", c.notes.leakAfter), slog.String("how", how), slog.String("stack", callers(stack)))
	}
	news := c.newNotes()
	c.mu.Unlock()
	c.tell(news)
}

// callers names the calls on a stack, the innermost first, beginning where the
// program called this package.
func callers(stack []uintptr) string {
	var list []string
	frames := runtime.CallersFrames(stack)
	for more := len(stack) > 0; more; {
		var f runtime.Frame
		f, more = frames.Next()
		if len(list) > 0 || !strings.Contains(f.Function, "/quiver/quic.") {
			list = append(list, fmt.Sprintf("%s (%s:%d)", f.Function, f.File, f.Line))
		}
	}
	return strings.Join(list, "; ")
}
