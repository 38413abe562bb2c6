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

// Client fetches files and stores them in a directory.
type Client struct {
	TLS       *tls.Config
	Conf      *quic.Config
	Downloads string // directory
	Parallel  int    // files at once; 0 = as many as the server allows
	PerURL    bool   // a fresh connection for every file
	Log       *slog.Logger
	// Started, if set, is told of every file before its first byte; what it
	// returns sees the bytes as they come. For progress bars.
	Started func(u *url.URL) io.Writer
	// OnConn, if set, is told of every connection once it is established.
	OnConn func(c *quic.Conn)
}

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
		if err != nil || u.Host == "" {
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
		return err
	}
	c.Log.Info("connected", "server", conn.RemoteAddr(), "version", fmt.Sprintf("%#x", uint32(conn.ConnectionState().Version)))
	if c.OnConn != nil {
		c.OnConn(conn)
	}
	err = c.fetchAll(ctx, conn, urls)
	conn.CloseWithError(0, "")
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
	conn, err := t.Dial(ctx, addr, cfg, c.Conf)
	return t, conn, err
}

// fetchAll gets files in parallel, each on a stream of its own.
func (c *Client) fetchAll(ctx context.Context, conn *quic.Conn, urls []*url.URL) error {
	parallel := c.Parallel
	if parallel <= 0 {
		parallel = len(urls)
	}
	slots := make(chan struct{}, parallel)
	errs := make([]error, len(urls))
	var fetching sync.WaitGroup
	for i, u := range urls {
		slots <- struct{}{}
		stream, err := conn.OpenStreamSync(ctx)
		if err != nil {
			errs[i] = fmt.Errorf("%v: %w", u, err)
			break
		}
		fetching.Go(func() {
			defer func() { <-slots }()
			if err := c.fetchOne(stream, u); err != nil {
				errs[i] = fmt.Errorf("%v: %w", u, err)
			}
		})
	}
	fetching.Wait()
	return errors.Join(errs...)
}

func (c *Client) fetchOne(stream *quic.Stream, u *url.URL) error {
	if _, err := stream.Write([]byte("GET " + u.Path + "\r\n")); err != nil {
		return err
	}
	if err := stream.CloseWrite(); err != nil {
		return err
	}
	file, err := os.Create(filepath.Join(c.Downloads, filepath.FromSlash(u.Path)))
	if err != nil {
		return err
	}
	var to io.Writer = file
	if c.Started != nil {
		to = io.MultiWriter(file, c.Started(u))
	}
	_, err = io.Copy(to, stream)
	return errors.Join(err, file.Close())
}

// hostOf returns the host:port of a URL, "" if it has none.
func hostOf(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return ""
	}
	return u.Host
}
