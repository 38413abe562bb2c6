package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
)

// A talk is a slog.Handler for people: a line for each record, that begins with the program's name. The attributes follow the sentence.
type talk struct {
	mu    *sync.Mutex // guards w
	w     io.Writer
	level slog.Level
	attrs string
}

// newTalk returns a logger that tells w what is at least at level.
func newTalk(w io.Writer, level slog.Level) *slog.Logger {
	return slog.New(&talk{mu: new(sync.Mutex), w: w, level: level})
}

// Enabled is of slog.Handler.
func (t *talk) Enabled(_ context.Context, l slog.Level) bool { return l >= t.level }

// Handle is of slog.Handler.
func (t *talk) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	b.WriteString("quiver: ")
	switch {
	case r.Level >= slog.LevelError:
		b.WriteString("error: ")
	case r.Level >= slog.LevelWarn:
		b.WriteString("warning: ")
	}
	b.WriteString(r.Message)
	b.WriteString(t.attrs)
	r.Attrs(func(a slog.Attr) bool {
		b.WriteString(attrText(a))
		return true
	})
	b.WriteByte('\n')
	t.mu.Lock()
	defer t.mu.Unlock()
	_, err := io.WriteString(t.w, b.String())
	return err
}

// WithAttrs is of slog.Handler.
func (t *talk) WithAttrs(attrs []slog.Attr) slog.Handler {
	more := *t
	for _, a := range attrs {
		more.attrs += attrText(a)
	}
	return &more
}

// WithGroup is of slog.Handler. Lines for people have no groups.
func (t *talk) WithGroup(string) slog.Handler { return t }

func attrText(a slog.Attr) string {
	if a.Equal(slog.Attr{}) {
		return ""
	}
	return fmt.Sprintf(" %s=%v", a.Key, a.Value)
}
