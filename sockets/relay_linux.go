package sockets

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"

	"github.com/seed51309289/quiver/internal/fabric"
)

// overTCP connects to the destination as the program would have.
func overTCP(ctx context.Context, held *fabric.Held) (far, error) {
	var d net.Dialer
	d.SetMultipathTCP(false)
	c, err := d.DialContext(ctx, "tcp", held.Dest.String())
	if err != nil {
		return nil, err
	}
	return tcpFar{c.(*net.TCPConn)}, nil
}

type tcpFar struct{ conn *net.TCPConn }

func (f tcpFar) join(leg *net.TCPConn, c *conn) {
	c.over("tcp", nil)
	c.up, c.down = relay(leg, f.conn)
}

func (f tcpFar) drop() { reset(f.conn) }

// relay carries bytes between two TCP connections until both directions have ended; the kernel moves them (splice). Ends and resets of
// one are those of the other. It returns how many bytes came from a, and from b.
func relay(a, b *net.TCPConn) (fromA, fromB uint64) {
	var both sync.WaitGroup
	both.Go(func() { fromB = carry(a, b) })
	both.Go(func() { fromA = carry(b, a) })
	both.Wait()
	a.Close()
	b.Close()
	return fromA, fromB
}

func carry(to, from *net.TCPConn) uint64 {
	n, err := io.Copy(to, from)
	switch {
	case err == nil:
		to.CloseWrite()
	case isReset(err):
		reset(to)
		reset(from)
	default:
		to.CloseWrite()
		from.CloseRead()
	}
	return uint64(n)
}

// reset ends a connection at once, with RST.
func reset(c *net.TCPConn) {
	c.SetLinger(0)
	c.Close()
}

func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ETIMEDOUT)
}
