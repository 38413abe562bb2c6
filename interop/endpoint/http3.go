package endpoint

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/seed51309289/quiver/http3"
	"github.com/seed51309289/quiver/quic"
)

// H3 is the application protocol of HTTP/3.
const H3 = http3.ALPN

// filesOver3 serves the files below root over HTTP/3.
func (s *Server) filesOver3(root *os.Root) *http3.Server {
	return &http3.Server{Logger: s.Log, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		n, err := serveFile(w, r, root)
		if err != nil {
			s.Log.Warn("request", "client", r.RemoteAddr, "file", r.URL.Path, "error", err)
			return
		}
		s.Log.Debug("served", "client", r.RemoteAddr, "file", r.URL.Path, "bytes", n)
	})}
}

// serveFile sends one file whole: no ranges, no dates, no directories.
func serveFile(w http.ResponseWriter, r *http.Request, root *os.Root) (int64, error) {
	file, err := openFile(root, strings.TrimPrefix(r.URL.Path, "/"))
	if err != nil {
		http.Error(w, "no such file", http.StatusNotFound)
		return 0, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		http.Error(w, "no such file", http.StatusNotFound)
		return 0, err
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.FormatInt(info.Size(), 10))
	if r.Method == http.MethodHead {
		return 0, nil
	}
	return io.Copy(w, io.LimitReader(file, info.Size()))
}

// A fetcher asks for files over one connection.
type fetcher interface {
	// ask waits until the server allows one more request, and sends it if that
	// takes no waiting: many requests are to leave at once. answer returns the
	// body, which is the caller's to close, and its size; -1 = unknown.
	ask(ctx context.Context, u *url.URL) (answer answer, err error)
}

// An answer waits for what was asked for.
type answer func() (body io.ReadCloser, size int64, err error)

// newFetcher speaks the protocol that the handshake chose.
func newFetcher(conn *quic.Conn) (fetcher, error) {
	if conn.ConnectionState().TLS.NegotiatedProtocol != H3 {
		return over09{conn}, nil
	}
	c, err := http3.NewClientConn(conn)
	return over3{c}, err
}

// doneCode is the error code of a connection without an error.
func doneCode(conn *quic.Conn) uint64 {
	if conn.ConnectionState().TLS.NegotiatedProtocol == H3 {
		return uint64(http3.NoError) // RFC 9114 §5.3
	}
	return 0
}

// over3 is HTTP/3.
type over3 struct{ conn *http3.ClientConn }

func (f over3) ask(ctx context.Context, u *url.URL) (answer, error) {
	return func() (io.ReadCloser, int64, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
		if err != nil {
			return nil, 0, err
		}
		resp, err := f.conn.RoundTrip(r)
		if err != nil {
			return nil, 0, err
		}
		switch resp.StatusCode {
		case http.StatusOK:
			return resp.Body, resp.ContentLength, nil
		case http.StatusNotFound:
			err = ErrNotFound
		default:
			err = fmt.Errorf("the server answers %s", resp.Status)
		}
		resp.Body.Close()
		return nil, 0, err
	}, nil
}

// over09 is HTTP/0.9: a stream for each file, and its bytes for an answer.
type over09 struct{ conn *quic.Conn }

func (f over09) ask(ctx context.Context, u *url.URL) (answer, error) {
	stream, err := f.conn.OpenStreamSync(ctx)
	if err != nil {
		return nil, err
	}
	_, err = stream.WriteFinal([]byte("GET " + u.Path + "\r\n"))
	return func() (io.ReadCloser, int64, error) { return stream, -1, err }, nil
}
