// Command benchxnet puts the load of package perf on golang.org/x/net/quic.
package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/net/quic"
	"quiver.invalid/peers/benchxnet/perf"
)

func main() {
	if err := perf.Main(context.Background(), stack{}, os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "benchxnet: error:", err)
		os.Exit(1)
	}
}

type stack struct{}

func (stack) Streams() bool { return true }

func config(conf *tls.Config) *quic.Config {
	return &quic.Config{
		TLSConfig:                conf,
		MaxBidiRemoteStreams:     perf.MaxStreams,
		MaxStreamReadBufferSize:  perf.StreamWindow,
		MaxStreamWriteBufferSize: perf.StreamWindow,
		MaxConnReadBufferSize:    perf.ConnWindow,
		MaxIdleTimeout:           perf.IdleTimeout * time.Second,
	}
}

// endpoint opens a socket at addr with large buffers.
func endpoint(addr string, conf *quic.Config) (*quic.Endpoint, error) {
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
	return quic.NewEndpoint(socket, conf)
}

func (stack) Listen(addr string, conf *tls.Config, _ perf.Options) (perf.Listener, error) {
	e, err := endpoint(addr, config(conf))
	if err != nil {
		return nil, err
	}
	return listener{e}, nil
}

func (stack) Dialer(addr string, conf *tls.Config, _ perf.Options) (perf.Dialer, error) {
	e, err := endpoint(":0", nil)
	if err != nil {
		return nil, err
	}
	return &dialer{e, addr, config(conf)}, nil
}

type listener struct{ e *quic.Endpoint }

func (l listener) Addr() string { return l.e.LocalAddr().String() }

func (l listener) Accept(ctx context.Context) (perf.Conn, error) {
	c, err := l.e.Accept(ctx)
	if err != nil {
		return nil, err
	}
	return conn{c}, nil
}

type dialer struct {
	e    *quic.Endpoint
	addr string
	conf *quic.Config
}

func (d *dialer) Dial(ctx context.Context) (perf.Conn, error) {
	c, err := d.e.Dial(ctx, "udp", d.addr, d.conf)
	if err != nil {
		return nil, err
	}
	return conn{c}, nil
}

type conn struct{ c *quic.Conn }

func (c conn) Open(ctx context.Context) (perf.Stream, error) {
	s, err := c.c.NewStream(ctx)
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

func (c conn) Resumed() bool { return c.c.ConnectionState().DidResume }

func (c conn) Close() error {
	c.c.Abort(nil)
	return nil
}

type stream struct{ *quic.Stream }

// Read closes the reading direction at its end: the stream counts until then.
func (s stream) Read(p []byte) (int, error) {
	n, err := s.Stream.Read(p)
	if err == io.EOF {
		s.CloseRead()
	}
	return n, err
}

func (s stream) Write(p []byte) (int, error) {
	n, err := s.Stream.Write(p)
	if err == nil {
		err = s.Flush()
	}
	return n, err
}

func (s stream) WriteFinal(p []byte) error {
	if len(p) > 0 {
		if _, err := s.Stream.Write(p); err != nil {
			return err
		}
	}
	s.CloseWrite()
	return nil
}

func (s stream) Abort() {
	s.Reset(1)
	s.CloseRead()
}
