// Command benchquicgo puts the load of package perf on the quic-go library.
package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/quic-go/quic-go"
	"quiver.invalid/peers/benchquicgo/perf"
)

func main() {
	if err := perf.Main(context.Background(), stack{}, os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "benchquicgo: error:", err)
		os.Exit(1)
	}
}

type stack struct{}

func (stack) Streams() bool { return true }

func config() *quic.Config {
	return &quic.Config{
		InitialStreamReceiveWindow:     perf.StreamWindow,
		MaxStreamReceiveWindow:         perf.StreamWindow,
		InitialConnectionReceiveWindow: perf.ConnWindow,
		MaxConnectionReceiveWindow:     perf.ConnWindow,
		MaxIncomingStreams:             perf.MaxStreams,
		MaxIdleTimeout:                 perf.IdleTimeout * time.Second,
	}
}

// transport opens a socket at addr with large buffers.
func transport(addr string) (*quic.Transport, error) {
	at, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		return nil, err
	}
	socket, err := net.ListenUDP("udp", at)
	if err != nil {
		return nil, err
	}
	socket.SetReadBuffer(perf.SocketBuffer)
	socket.SetWriteBuffer(perf.SocketBuffer)
	return &quic.Transport{Conn: socket}, nil
}

func (stack) Listen(addr string, conf *tls.Config, _ perf.Options) (perf.Listener, error) {
	tr, err := transport(addr)
	if err != nil {
		return nil, err
	}
	l, err := tr.Listen(conf, config())
	if err != nil {
		return nil, err
	}
	return listener{l}, nil
}

func (stack) Dialer(addr string, conf *tls.Config, _ perf.Options) (perf.Dialer, error) {
	to, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		return nil, err
	}
	tr, err := transport(":0")
	if err != nil {
		return nil, err
	}
	return &dialer{tr, to, conf}, nil
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
	tr   *quic.Transport
	to   net.Addr
	conf *tls.Config
}

func (d *dialer) Dial(ctx context.Context) (perf.Conn, error) {
	c, err := d.tr.Dial(ctx, d.to, d.conf, config())
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
	if len(p) > 0 {
		if _, err := s.Write(p); err != nil {
			return err
		}
	}
	return s.Close()
}

func (s stream) Abort() {
	s.CancelWrite(1)
	s.CancelRead(1)
}
