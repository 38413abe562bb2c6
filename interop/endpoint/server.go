package endpoint

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"

	"github.com/seed51309289/quiver/quic"
)

// ALPN is the application protocol of HTTP/0.9 over QUIC.
const ALPN = "hq-interop"

// maxRequest bounds a request line, in bytes.
const maxRequest = 4096

// Error codes with which a server gives up a stream.
const (
	codeNotFound   = 0x404
	codeBadRequest = 0x400
)

// Server serves the files of a directory, over HTTP/3 or HTTP/0.9, whichever of
// the NextProtos of TLS a client chooses.
type Server struct {
	TLS   *tls.Config
	Conf  *quic.Config
	WWW   string // directory
	Retry bool   // ask every client for a Retry
	// ResetKey, if set, resets connections of a former Server with the same key.
	ResetKey *[32]byte
	// More, if set, is a further socket to hear on: at a preferred address.
	More net.PacketConn
	Log  *slog.Logger
	// OnTransport, if set, is told of the Transport before it takes connections.
	OnTransport func(t *quic.Transport)
	// OnConn, if set, is told of every connection once it is established.
	OnConn func(c *quic.Conn)
}

// Serve answers requests on sock until ctx is done; then it closes all
// connections and returns nil. It owns sock.
func (s *Server) Serve(ctx context.Context, sock net.PacketConn) error {
	root, err := os.OpenRoot(s.WWW)
	if err != nil {
		sock.Close()
		return err
	}
	defer root.Close()
	t := &quic.Transport{Conn: sock, StatelessResetKey: s.ResetKey}
	if s.Retry {
		t.RequireRetry = func(netip.AddrPort) bool { return true }
	}
	if s.OnTransport != nil {
		s.OnTransport(t)
	}
	l, err := t.Listen(s.TLS, s.Conf)
	if err != nil {
		sock.Close()
		return err
	}
	if s.More != nil {
		if err := t.AddConn(s.More); err != nil {
			t.Close()
			return err
		}
	}
	files := s.filesOver3(root)
	var serving sync.WaitGroup
	for {
		c, err := l.Accept(ctx)
		if ctx.Err() != nil {
			t.Close()
			serving.Wait()
			return nil
		}
		if err != nil {
			return err
		}
		serving.Go(func() {
			s.Log.Info("connected", "client", c.RemoteAddr(), "version", c.ConnectionState().Version)
			if s.OnConn != nil {
				s.OnConn(c)
			}
			var why error
			if c.ConnectionState().TLS.NegotiatedProtocol == H3 {
				why = files.ServeConn(c)
			} else {
				why = s.serveConn(ctx, c, root)
			}
			s.Log.Info("disconnected", "client", c.RemoteAddr(), "reason", why)
		})
	}
}

// serveConn serves HTTP/0.9 until the connection ends, and returns why it did.
func (s *Server) serveConn(ctx context.Context, c *quic.Conn, root *os.Root) error {
	var streams sync.WaitGroup
	for {
		stream, err := c.AcceptStream(ctx)
		if err != nil {
			streams.Wait()
			return err
		}
		streams.Go(func() {
			path, n, err := serveStream(stream, root)
			if err != nil {
				s.Log.Warn("request", "client", c.RemoteAddr(), "stream", stream.StreamID(), "error", err)
				return
			}
			s.Log.Debug("served", "client", c.RemoteAddr(), "file", path, "bytes", n)
		})
	}
}

// serveStream answers "GET /path", with or without a line ending. It returns
// what was asked for, and how many bytes went out.
func serveStream(stream *quic.Stream, root *os.Root) (path string, n int64, err error) {
	request, err := io.ReadAll(io.LimitReader(stream, maxRequest+1))
	if err != nil {
		return "", 0, err
	}
	name, ok := bytes.CutPrefix(bytes.TrimRight(request, " \r\n"), []byte("GET /"))
	if !ok || len(request) > maxRequest {
		stream.CancelRead(codeBadRequest)
		stream.CancelWrite(codeBadRequest)
		return "", 0, fmt.Errorf("request of %d bytes: got %.40q, want \"GET /path\"", len(request), request)
	}
	file, err := openFile(root, string(name))
	if err != nil {
		stream.CancelWrite(codeNotFound)
		return "", 0, err
	}
	defer file.Close()
	if n, err = io.Copy(stream, file); err != nil {
		stream.CancelWrite(codeNotFound)
		return "", n, err
	}
	return "/" + string(name), n, stream.CloseWrite()
}

// openFile opens a file below root that has an end: no directory, no pipe.
func openFile(root *os.Root, name string) (*os.File, error) {
	info, err := root.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("open %s: not a regular file", name)
	}
	return root.Open(name)
}
