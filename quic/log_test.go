package quic_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed51309289/quiver/quic"
)

// logBook is a logger whose text can be read while connections write it, and
// whose handler calls back into them, as nobody should but somebody will.
type logBook struct {
	mu   sync.Mutex
	text bytes.Buffer
	slog.Handler
	conn atomic.Pointer[quic.Conn]
}

func newLogBook() *logBook {
	b := &logBook{}
	b.Handler = slog.NewTextHandler(&b.text, &slog.HandlerOptions{Level: slog.LevelDebug})
	return b
}

func (b *logBook) Handle(ctx context.Context, r slog.Record) error {
	if c := b.conn.Load(); c != nil {
		c.ConnectionStats()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Handler.Handle(ctx, r)
}

func (b *logBook) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func TestLoggerLearnsWhatBecomesOfConnections(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		client, server := newLogBook(), newLogBook()
		c, s := w.pair(&quic.Config{Logger: slog.New(client)}, &quic.Config{Logger: slog.New(server)})
		client.conn.Store(c)
		server.conn.Store(s)
		c.CloseWithError(7, "enough")
		time.Sleep(time.Second)
		synctest.Wait()
		for side, book := range map[string]*logBook{"client": client, "server": server} {
			text := book.String()
			for _, want := range []string{
				`level=DEBUG msg="connection started" side=` + side, `msg="connection established" side=` + side, "version=v1", "alpn=test",
				`msg="connection closed"`, "application error 0x7: enough",
			} {
				if !strings.Contains(text, want) {
					t.Errorf("the %s's log has no %q:\n%s", side, want, text)
				}
			}
			if n := strings.Count(text, "\n"); n != 3 {
				t.Errorf("the %s's log has %d lines, want 3:\n%s", side, n, text)
			}
		}
	})
}
