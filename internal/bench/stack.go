package bench

import (
	"context"
	"crypto/tls"
	"net"
	"time"

	"github.com/seed51309289/quiver/peers/perf"
	"github.com/seed51309289/quiver/quic"
)

// Stack is Quiver, as package perf drives it.
type Stack struct{}

// Streams implements perf.Stack.
func (Stack) Streams() bool { return true }

// config has the settings that all stacks of the comparison get.
func config(o perf.Options) *quic.Config {
	return &quic.Config{
		Limits: quic.Limits{
			InitialStreamReceiveWindow: perf.StreamWindow, MaxStreamReceiveWindow: perf.StreamWindow,
			InitialConnectionReceiveWindow: perf.ConnWindow, MaxConnectionReceiveWindow: perf.ConnWindow,
			MaxIncomingStreams: perf.MaxStreams,
		},
		MaxIdleTimeout:  perf.IdleTimeout * time.Second,
		MaxDatagramSize: o.Datagram,
		Congestion:      o.Congestion,
	}
}

// Listen implements perf.Stack.
func (Stack) Listen(addr string, conf *tls.Config, o perf.Options) (perf.Listener, error) {
	l, err := quic.ListenAddr(addr, conf, config(o))
	if err != nil {
		return nil, err
	}
	return listener{l}, nil
}

// Dialer implements perf.Stack.
func (Stack) Dialer(addr string, conf *tls.Config, o perf.Options) (perf.Dialer, error) {
	to, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		return nil, err
	}
	socket, err := net.ListenUDP("udp4", nil)
	if err != nil {
		return nil, err
	}
	return &dialer{&quic.Transport{Conn: socket}, to, conf, config(o)}, nil
}

type listener struct{ l *quic.Listener }

func (l listener) Addr() string { return l.l.Addr().String() }

func (l listener) Accept(ctx context.Context) (perf.Conn, error) {
	c, err := l.l.Accept(ctx)
	if err != nil {
		return nil, err
	}
	return conn{c}, nil
}

type dialer struct {
	t      *quic.Transport
	to     net.Addr
	tls    *tls.Config
	config *quic.Config
}

func (d *dialer) Dial(ctx context.Context) (perf.Conn, error) {
	c, err := d.t.Dial(ctx, d.to, d.tls, d.config)
	if err != nil {
		return nil, err
	}
	return conn{c}, nil
}

type conn struct{ c *quic.Conn }

func (c conn) Open(ctx context.Context) (perf.Stream, error) {
	s, err := c.c.OpenStreamSync(ctx)
	if err != nil {
		return nil, err
	}
	return stream{s}, nil
}

func (c conn) Accept(ctx context.Context) (perf.Stream, error) {
	s, err := c.c.AcceptStream(ctx)
	if err != nil {
		return nil, err
	}
	return stream{s}, nil
}

func (c conn) Resumed() bool { return c.c.ConnectionState().TLS.DidResume }

func (c conn) Close() error { return c.c.CloseWithError(0, "") }

type stream struct{ *quic.Stream }

func (s stream) WriteFinal(p []byte) error {
	_, err := s.Stream.WriteFinal(p)
	return err
}

func (s stream) Abort() {
	s.CancelWrite(1)
	s.CancelRead(1)
}
