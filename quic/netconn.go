package quic

import (
	"context"
	"net"
	"sync"
)

// NetListener makes a net.Listener of l: its connections are the bidirectional
// streams of all connections of l, in the order of their arrival. A Stream is a
// net.Conn, so a server written for TCP runs on it as it is. Closing it closes l;
// streams that were accepted go on if l's connections do.
//
// Streams wait in their connections: at most Limits.MaxIncomingStreams of each.
func NetListener(l *Listener) net.Listener {
	n := &netListener{l: l, streams: make(chan *Stream)}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	return n
}

type netListener struct {
	l       *Listener
	streams chan *Stream // bounded by its lack of a buffer
	ctx     context.Context
	cancel  context.CancelFunc
	once    sync.Once
}

// Accept returns the next stream of any connection.
func (n *netListener) Accept() (net.Conn, error) {
	n.once.Do(func() { go n.acceptConns() })
	select {
	case s := <-n.streams:
		return s, nil
	case <-n.l.failed:
		return nil, &net.OpError{Op: "accept", Net: "quic", Addr: n.Addr(), Err: net.ErrClosed}
	}
}

// acceptConns gives every connection a goroutine that brings its streams.
func (n *netListener) acceptConns() {
	for {
		c, err := n.l.Accept(n.ctx)
		if err != nil {
			n.cancel()
			return
		}
		go n.acceptStreams(c)
	}
}

func (n *netListener) acceptStreams(c *Conn) {
	for {
		s, err := c.AcceptStream(n.ctx)
		if err != nil {
			return
		}
		select {
		case n.streams <- s:
		case <-n.ctx.Done():
			s.Close()
			return
		}
	}
}

// Close closes the Listener, which ends acceptConns, which ends the rest.
func (n *netListener) Close() error { return n.l.Close() }

// Addr returns the address of the socket.
func (n *netListener) Addr() net.Addr { return n.l.Addr() }
