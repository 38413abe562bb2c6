package tunnel

import (
	"io"
	"net"
	"sync"
	"syscall"
)

// maxMem is what a memLeg holds of what its other end has not read, in bytes.
const maxMem = 64 << 10

// memLeg is one end of a TCP connection in memory, for tests in a bubble.
type memLeg struct {
	mu     *sync.Mutex // of both ends; guards all below
	change *sync.Cond
	peer   *memLeg
	in     []byte // arrived
	fin    bool   // from the peer
	ended  bool   // we sent FIN
	closed bool
	linger bool  // Close sends FIN
	err    error // from the peer: ECONNRESET
}

var _ Leg = (*memLeg)(nil)

// memPair makes both ends.
func memPair() (a, b *memLeg) {
	mu := new(sync.Mutex)
	change := sync.NewCond(mu)
	a = &memLeg{mu: mu, change: change, linger: true}
	b = &memLeg{mu: mu, change: change, linger: true, peer: a}
	a.peer = b
	return a, b
}

func (l *memLeg) Read(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		switch {
		case l.closed:
			return 0, net.ErrClosed
		case len(l.in) > 0:
			n := copy(p, l.in)
			l.in = l.in[n:]
			l.change.Broadcast()
			return n, nil
		case l.err != nil:
			return 0, l.err
		case l.fin:
			return 0, io.EOF
		}
		l.change.Wait()
	}
}

func (l *memLeg) Write(p []byte) (n int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for n < len(p) {
		switch {
		case l.closed:
			return n, net.ErrClosed
		case l.err != nil:
			return n, l.err
		case l.ended:
			return n, syscall.EPIPE
		case l.peer.closed: // RST comes back
			l.err = syscall.ECONNRESET
			l.change.Broadcast()
			return n, l.err
		}
		if room := maxMem - len(l.peer.in); room > 0 {
			m := min(room, len(p)-n)
			l.peer.in = append(l.peer.in, p[n:n+m]...)
			n += m
			l.change.Broadcast()
			continue
		}
		l.change.Wait()
	}
	return n, nil
}

func (l *memLeg) CloseWrite() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended, l.peer.fin = true, true
	l.change.Broadcast()
	return nil
}

func (l *memLeg) SetLinger(sec int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.linger = sec != 0
	return nil
}

func (l *memLeg) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return net.ErrClosed
	}
	l.closed = true
	switch {
	case l.err != nil:
	case !l.linger || len(l.in) > 0:
		l.peer.err = syscall.ECONNRESET
	default:
		l.peer.fin = true
	}
	l.change.Broadcast()
	return nil
}
