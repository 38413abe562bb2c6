package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/seed51309289/quiver/quic"
)

// newMigration reads --migrate-after; nil = never.
func newMigration(after string) (*migration, error) {
	if after == "" {
		return nil, nil
	}
	n, err := parseSize(after)
	if err != nil {
		return nil, fmt.Errorf("--migrate-after: %w", err)
	}
	return &migration{after: int64(n)}, nil
}

// migration moves a client's connections to another socket of this host in the
// middle of a download: --migrate-after.
type migration struct {
	after int64 // bytes of all files
	seen  atomic.Int64
	once  sync.Once

	mu    sync.Mutex // guards all below
	conns []*quic.Conn
	lines []string
	errs  []error
}

// watch counts the bytes of every file that c fetches.
func (m *migration) watch(ctx context.Context, started func(*url.URL, int64) io.Writer, connected func(*quic.Conn)) (func(*url.URL, int64) io.Writer, func(*quic.Conn)) {
	count := func(u *url.URL, size int64) io.Writer {
		return io.MultiWriter(started(u, size), writerFunc(func(p []byte) (int, error) {
			if m.seen.Add(int64(len(p))) >= m.after {
				m.once.Do(func() { m.run(ctx) })
			}
			return len(p), nil
		}))
	}
	return count, func(c *quic.Conn) {
		m.mu.Lock()
		m.conns = append(m.conns, c)
		m.mu.Unlock()
		connected(c)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// run moves every connection. Meanwhile the file in whose middle this is has to
// wait, so that it does not end before.
func (m *migration) run(ctx context.Context) {
	m.mu.Lock()
	conns := slices.Clone(m.conns)
	m.mu.Unlock()
	for _, c := range conns {
		m.move(ctx, c)
	}
}

func (m *migration) move(ctx context.Context, c *quic.Conn) {
	from := c.LocalAddr()
	err := c.Migrate(ctx, nil)
	m.mu.Lock()
	defer m.mu.Unlock()
	if err != nil {
		m.errs = append(m.errs, fmt.Errorf("%v: %w", c.RemoteAddr(), err))
		return
	}
	m.lines = append(m.lines, fmt.Sprintf("migrated from %v to %v after %s", from, c.LocalAddr(), sizeText(m.seen.Load())))
}

// report says how the moves went. It is an error that there was none.
func (m *migration) report(w io.Writer) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, line := range m.lines {
		fmt.Fprintln(w, line)
	}
	if len(m.lines)+len(m.errs) == 0 {
		return fmt.Errorf("--migrate-after: only %s came, want at least %s", sizeText(m.seen.Load()), sizeText(m.after))
	}
	return errors.Join(m.errs...)
}
