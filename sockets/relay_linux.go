package sockets

import (
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

type tcpFar struct{ conn *net.TCPConn }

func (f tcpFar) join(leg *net.TCPConn, c *conn) {
	c.over("tcp", nil, func() { f.conn.CloseRead() })
	c.up, c.down = relay(leg, f.conn)
}

func (f tcpFar) drop() { reset(f.conn) }

// relay carries bytes between two TCP connections until both directions have ended; the kernel moves them (splice). Ends and resets of
// one are those of the other. It returns how many bytes came from a, and from b.
func relay(a, b *net.TCPConn) (fromA, fromB uint64) {
	inLine(a)
	inLine(b)
	var r relaying
	var both sync.WaitGroup
	both.Go(func() { fromB = r.carry(a, b) })
	both.Go(func() { fromA = r.carry(b, a) })
	both.Wait()
	a.Close()
	b.Close()
	return fromA, fromB
}

// relaying is what both directions know.
type relaying struct {
	mu    sync.Mutex // guards all below
	over  int        // directions that have ended
	reset bool       // one could not write to who has reset its end, and the other may have to read what that sent before
}

// carry is one direction.
func (r *relaying) carry(to, from *net.TCPConn) uint64 {
	n, err := copyAll(to, from)
	unread := isReset(err) && isClosed(to) && !isClosed(from)
	r.mu.Lock()
	r.over++
	last := r.over == 2
	r.reset = r.reset || unread
	heard := r.reset
	r.mu.Unlock()
	switch {
	case unread && !last:
		return uint64(n) // the other direction is about to end, and resets both
	case errors.Is(err, net.ErrClosed): // the other direction has met a reset
	case heard, isReset(err):
		reset(to)
		reset(from)
	case err == nil:
		to.CloseWrite()
	default:
		to.CloseWrite()
		from.CloseRead()
	}
	if last {
		to.SetReadDeadline(time.Unix(1, 0)) // the other direction waits for resets only
	} else if awaitReset(from) {
		reset(to)
		reset(from)
	}
	return uint64(n)
}

// isClosed reports whether the kernel has given a connection up, as after a reset.
func isClosed(c *net.TCPConn) (closed bool) {
	raw, err := c.SyscallConn()
	if err != nil {
		return true
	}
	raw.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		closed = err == nil && info.State == unix.BPF_TCP_CLOSE
	})
	return closed
}

// awaitReset waits until a connection that has sent its end is reset, and reports whether it is: not if its deadline is set meanwhile, or
// if it is closed.
func awaitReset(c *net.TCPConn) (reset bool) {
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	raw.Read(func(fd uintptr) bool {
		p := []unix.PollFd{{Fd: int32(fd)}}
		for {
			if _, err := unix.Poll(p, 0); err != unix.EINTR {
				break
			}
		}
		reset = p[0].Revents&unix.POLLERR != 0
		return reset
	})
	return reset
}

// copyAll copies to the end of from. splice takes urgent data for the end, which reading goes past.
func copyAll(to io.Writer, from *net.TCPConn) (total int64, err error) {
	for {
		n, err := io.Copy(to, from)
		total += n
		if err != nil {
			return total, err
		}
		var past [1]byte
		if _, err := from.Read(past[:]); err == io.EOF {
			return total, nil
		} else if err != nil {
			return total, err
		}
		total++
		if _, err := to.Write(past[:]); err != nil {
			return total, err
		}
	}
}

// inLine has urgent data of a connection come with the rest, rather than be lost.
func inLine(c *net.TCPConn) {
	if raw, err := c.SyscallConn(); err == nil {
		raw.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_OOBINLINE, 1) })
	}
}

// reset ends a connection at once, with RST.
func reset(c *net.TCPConn) {
	c.SetLinger(0)
	c.Close()
}

func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ETIMEDOUT)
}
