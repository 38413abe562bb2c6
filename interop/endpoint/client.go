package endpoint

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"sync"

	"github.com/seed51309289/quiver/quic"
)

// Client fetches files and stores them in a directory, over HTTP/3 or HTTP/0.9,
// whichever of the NextProtos of TLS the server chooses. The functions, where
// set, are called from several goroutines at once.
type Client struct {
	TLS       *tls.Config
	Conf      *quic.Config
	Downloads string    // directory
	To        io.Writer // takes all files, one after another, instead of Downloads
	Parallel  int       // files at once; 0 = as many as the server allows
	PerURL    bool      // a fresh connection for every file
	Early     bool      // ask in early data where a session in TLS allows it
	Log       *slog.Logger
	// Started, if set, is told of every file before its first byte, with its
	// size, -1 if that is unknown; what it returns sees the bytes as they come.
	// For progress bars.
	Started func(u *url.URL, size int64) io.Writer
	// Finished, if set, is told of the end of every file that Started was told of.
	Finished func(u *url.URL, err error)
	// OnConn, if set, is told of every connection once it is established.
	OnConn func(c *quic.Conn)

	linger func(ctx context.Context, conn *quic.Conn) // runs before a connection is closed; nil = nothing does
}

// ErrNotFound says that the server has no file of that name.
var ErrNotFound = errors.New("the server has no such file")

// A DialError says that there is no connection to a host, and why.
type DialError struct {
	Host string // with the port, as in the URL
	Err  error
}

func (e *DialError) Error() string { return fmt.Sprintf("no connection to %s: %v", e.Host, e.Err) }

// Unwrap returns the reason.
func (e *DialError) Unwrap() error { return e.Err }

// Fetch gets all urls, those of one host over one connection. The error joins
// those of all files.
func (c *Client) Fetch(ctx context.Context, urls []string) error {
	groups, err := c.group(urls)
	if err != nil {
		return err
	}
	var errs []error
	for _, g := range groups {
		errs = append(errs, c.fetchFrom(ctx, g))
	}
	return errors.Join(errs...)
}

// group sorts URLs by connection, in the order of their first appearance.
func (c *Client) group(urls []string) ([][]*url.URL, error) {
	var groups [][]*url.URL
	byHost := map[string]int{}
	for _, s := range urls {
		u, err := url.Parse(s)
		if err != nil || u.Host == "" || u.Scheme != "https" {
			return nil, fmt.Errorf("url %q: want https://host:port/path", s)
		}
		if !filepath.IsLocal(u.Path[min(1, len(u.Path)):]) {
			return nil, fmt.Errorf("url %q: the path does not name a file below the download directory", s)
		}
		i, known := byHost[u.Host]
		if !known || c.PerURL {
			i = len(groups)
			byHost[u.Host] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], u)
	}
	return groups, nil
}

// fetchFrom gets files of one host over one connection.
func (c *Client) fetchFrom(ctx context.Context, urls []*url.URL) error {
	t, conn, err := c.connect(ctx, urls[0])
	if t != nil {
		defer t.Close()
	}
	if err != nil {
		return &DialError{Host: urls[0].Host, Err: err}
	}
	// A read knows no context: what waits for the server ends with the connection.
	defer context.AfterFunc(ctx, func() { conn.CloseWithError(0, "interrupted") })()
	c.Log.Info("connected", "server", conn.RemoteAddr(), "version", conn.ConnectionState().Version)
	if c.OnConn != nil {
		c.OnConn(conn)
	}
	err = c.fetchAll(ctx, conn, urls)
	if c.linger != nil {
		c.linger(ctx, conn)
	}
	conn.CloseWithError(doneCode(conn), "")
	return err
}

// connect resolves and dials. The Transport is the caller's to close, also
// when err is not nil.
func (c *Client) connect(ctx context.Context, u *url.URL) (*quic.Transport, *quic.Conn, error) {
	host, port := u.Hostname(), u.Port()
	if port == "" {
		port = "443"
	}
	addr, err := net.ResolveUDPAddr("udp", net.JoinHostPort(host, port))
	if err != nil {
		return nil, nil, err
	}
	sock, err := net.ListenUDP("udp", nil)
	if err != nil {
		return nil, nil, err
	}
	cfg := c.TLS.Clone()
	if cfg.ServerName == "" {
		cfg.ServerName = host
	}
	t := &quic.Transport{Conn: sock}
	dial := t.Dial
	if c.Early {
		dial = t.DialEarly
	}
	conn, err := dial(ctx, addr, cfg, c.Conf)
	return t, conn, err
}

// fetchAll gets files in parallel, each on a stream of its own.
func (c *Client) fetchAll(ctx context.Context, conn *quic.Conn, urls []*url.URL) error {
	parallel := c.Parallel
	switch {
	case c.To != nil:
		parallel = 1
	case parallel <= 0:
		parallel = len(urls)
	}
	f, err := newFetcher(conn)
	if err != nil {
		return err
	}
	late := lateFetcher{conn: conn}
	slots := make(chan struct{}, parallel)
	errs := make([]error, len(urls))
	var fetching sync.WaitGroup
	for i, u := range urls {
		slots <- struct{}{}
		asked, err := f.ask(ctx, u)
		if err != nil {
			errs[i] = fmt.Errorf("%v: %w", u, err)
			break
		}
		fetching.Go(func() {
			defer func() { <-slots }()
			if err := late.again(ctx, c, u, c.fetchOne(asked, u)); err != nil {
				errs[i] = fmt.Errorf("%v: %w", u, err)
			}
		})
	}
	fetching.Wait()
	return errors.Join(errs...)
}

func (c *Client) fetchOne(asked answer, u *url.URL) (err error) {
	body, size, err := asked()
	if err != nil {
		return err
	}
	defer body.Close()
	var watch io.Writer = io.Discard
	if c.Started != nil {
		watch = c.Started(u, size)
	}
	if c.Finished != nil {
		defer func() { c.Finished(u, err) }()
	}
	if c.To != nil {
		_, err = io.Copy(io.MultiWriter(c.To, watch), body)
		return notFound(err)
	}
	return c.store(body, filepath.Join(c.Downloads, filepath.FromSlash(u.Path)), watch)
}

// store writes a file that gets its name once it is whole, so that a download
// that fails destroys nothing.
func (c *Client) store(body io.Reader, path string, watch io.Writer) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	part := path + ".part"
	file, err := os.Create(part)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.MultiWriter(file, watch), body)
	if err := errors.Join(notFound(err), file.Close()); err != nil {
		os.Remove(part)
		return err
	}
	return os.Rename(part, path)
}

// notFound makes the code with which a Server has no such file an error that
// says so.
func notFound(err error) error {
	if reset, ok := errors.AsType[*quic.StreamError](err); ok && reset.Remote && reset.Code == codeNotFound {
		return ErrNotFound
	}
	return err
}

// hostOf returns the host:port of a URL, "" if it has none.
func hostOf(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return ""
	}
	return u.Host
}
