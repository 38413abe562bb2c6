package endpoint

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/seed51309289/quiver/quic"
)

// serveAndForget serves at address like s.Serve, but with a stateless reset
// key, and it dies once: when a connection makes its second request, the
// socket is closed without a word and opened anew, as a crash and a restart do
// it. What the client still sends is answered by stateless resets
// (RFC 9000 §10.3). sock is the first socket.
func (s *Server) serveAndForget(ctx context.Context, sock net.PacketConn, key *[32]byte) error {
	s.ResetKey = key
	address := sock.LocalAddr().String()
	if err := s.firstLife(ctx, sock); err != nil || ctx.Err() != nil {
		return err
	}
	again, err := net.ListenPacket("udp", address)
	if err != nil {
		return err
	}
	s.Log.Info("restarted", "addr", again.LocalAddr())
	return s.Serve(ctx, again)
}

// firstLife answers one request of one connection. It returns at the second
// one, or when ctx is done, with everything forgotten.
func (s *Server) firstLife(ctx context.Context, sock net.PacketConn) error {
	defer sock.Close()
	root, err := os.OpenRoot(s.WWW)
	if err != nil {
		return err
	}
	defer root.Close()
	t := &quic.Transport{Conn: sock, StatelessResetKey: s.ResetKey}
	l, err := t.Listen(s.TLS, s.Conf)
	if err != nil {
		return err
	}
	defer t.Close()
	defer sock.Close() // before the Transport, so that nobody hears of its end
	c, err := l.Accept(ctx)
	if err != nil {
		return errIfRunning(ctx, err)
	}
	first, err := c.AcceptStream(ctx)
	if err != nil {
		return errIfRunning(ctx, err)
	}
	if _, _, err := serveStream(first, root); err != nil {
		return errIfRunning(ctx, err)
	}
	_, err = c.AcceptStream(ctx)
	return errIfRunning(ctx, err)
}

// errIfRunning returns err unless ctx is done, which explains it.
func errIfRunning(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// fetchAcrossReset gets the first file, asks for the second on the same
// connection, which the server resets, and gets all others on another one.
func (c *Client) fetchAcrossReset(ctx context.Context, urls []string) error {
	groups, err := c.group(urls)
	if err != nil {
		return err
	}
	if len(groups) != 1 || len(urls) < 2 {
		return fmt.Errorf("%d files of %d hosts: want two files or more of one host", len(urls), len(groups))
	}
	all := groups[0]
	t, conn, err := c.connect(ctx, all[0])
	if t != nil {
		defer t.Close()
	}
	if err != nil {
		return &DialError{Host: all[0].Host, Err: err}
	}
	defer context.AfterFunc(ctx, func() { conn.CloseWithError(0, "interrupted") })()
	if err := c.fetchAll(ctx, conn, all[:1]); err != nil {
		return err
	}
	err = c.fetchAll(ctx, conn, all[1:2])
	if _, reset := errors.AsType[*quic.StatelessResetError](err); !reset {
		conn.CloseWithError(0, "")
		return fmt.Errorf("second file: got %v, want a stateless reset", err)
	}
	c.Log.Info("reset", "server", conn.RemoteAddr())
	return c.Fetch(ctx, urls[1:])
}
