package endpoint

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	"github.com/seed51309289/quiver/quic"
)

// ticketWait is how long a client waits for the server's ticket before it
// closes a connection whose session is to be resumed.
const ticketWait = 3 * time.Second

// fetchAgain gets the first URL on one connection and the rest on another one,
// which resumes the session of the first.
func (c *Client) fetchAgain(ctx context.Context, urls []string, early bool) error {
	if len(urls) < 2 {
		return fmt.Errorf("%d URLs: want one for the first connection and more for the second", len(urls))
	}
	sessions := &tickets{ClientSessionCache: tls.NewLRUClientSessionCache(1), came: make(chan struct{})}
	c.TLS = c.TLS.Clone()
	c.TLS.ClientSessionCache = sessions
	c.linger = sessions.await
	if err := c.Fetch(ctx, urls[:1]); err != nil {
		return err
	}
	c.linger, c.Early = nil, early
	return c.Fetch(ctx, urls[1:])
}

// tickets is a cache that tells when a session came.
type tickets struct {
	tls.ClientSessionCache
	once sync.Once
	came chan struct{}
}

func (t *tickets) Put(key string, s *tls.ClientSessionState) {
	t.ClientSessionCache.Put(key, s)
	if s != nil {
		t.once.Do(func() { close(t.came) })
	}
}

// await waits for a session, but not for ever: a server need not give one.
func (t *tickets) await(ctx context.Context, conn *quic.Conn) {
	select {
	case <-t.came:
	case <-conn.Context().Done():
	case <-ctx.Done():
	case <-time.After(ticketWait):
	}
}

// lateFetcher asks again for what was asked for in early data that the server
// did not take: on the same connection, once its handshake is complete.
type lateFetcher struct {
	conn *quic.Conn
	once sync.Once
	f    fetcher
	err  error
}

func (l *lateFetcher) open(ctx context.Context) (fetcher, error) {
	l.once.Do(func() {
		select {
		case <-l.conn.HandshakeComplete():
			l.f, l.err = newFetcher(l.conn)
		case <-l.conn.Context().Done():
			l.err = context.Cause(l.conn.Context())
		case <-ctx.Done():
			l.err = context.Cause(ctx)
		}
	})
	return l.f, l.err
}

// again fetches u, whose first try failed with err, if early data is why.
func (l *lateFetcher) again(ctx context.Context, c *Client, u *url.URL, err error) error {
	if !errors.Is(err, quic.Err0RTTRejected) {
		return err
	}
	f, err := l.open(ctx)
	if err != nil {
		return err
	}
	asked, err := f.ask(ctx, u)
	if err != nil {
		return err
	}
	return c.fetchOne(asked, u)
}
