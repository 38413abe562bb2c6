package quic

import (
	"context"
	"log/slog"
	"time"

	"github.com/seed51309289/quiver/internal/core"
)

// notes are what a connection has to tell Config.Logger, which is not called
// under the connection's lock: its handler may do anything.
type notes struct {
	log       *slog.Logger
	leakAfter time.Duration // as Config.StreamLeakAfter
	list      []slog.Record // bounded by the events of one flush
}

// note keeps a record for tell. The caller holds c.mu, and has seen that
// somebody listens.
func (c *Conn) note(msg string, attrs ...slog.Attr) { c.noteAt(slog.LevelDebug, msg, attrs...) }

func (c *Conn) noteAt(level slog.Level, msg string, attrs ...slog.Attr) {
	r := slog.NewRecord(time.Now(), level, msg, 0)
	side := "client"
	if c.listener != nil {
		side = "server"
	}
	r.AddAttrs(slog.String("side", side), slog.String("remote", c.RemoteAddr().String()))
	r.AddAttrs(attrs...)
	c.notes.list = append(c.notes.list, r)
}

// newNotes takes what is to be told. The caller holds c.mu.
func (c *Conn) newNotes() []slog.Record {
	if c.notes == nil {
		return nil
	}
	list := c.notes.list
	c.notes.list = nil
	return list
}

// tell hands records to the logger. The caller does not hold c.mu.
func (c *Conn) tell(list []slog.Record) {
	for _, r := range list {
		if !c.notes.log.Enabled(context.Background(), r.Level) {
			continue
		}
		c.notes.log.Handler().Handle(context.Background(), r) // an error of the handler is the program's own
	}
}

// noteEstablished tells what was negotiated.
func (c *Conn) noteEstablished() {
	attrs := []slog.Attr{slog.String("version", c.core.Version().String())}
	if t := c.core.TLSState(); t != nil {
		attrs = append(attrs, slog.String("alpn", t.NegotiatedProtocol), slog.Bool("resumed", t.DidResume))
	}
	switch c.core.Early() {
	case core.EarlyAccepted:
		attrs = append(attrs, slog.String("0rtt", "accepted"))
	case core.EarlyRejected:
		attrs = append(attrs, slog.String("0rtt", "rejected"))
	}
	c.note("connection established", attrs...)
}
