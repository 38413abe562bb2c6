// Command benchtls puts the load of package perf on TLS 1.3 over TCP, of the
// standard library: a connection stands for a stream.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"quiver.invalid/peers/benchtls/perf"
)

func main() {
	if err := perf.Main(context.Background(), stack{}, os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "benchtls: error:", err)
		os.Exit(1)
	}
}

type stack struct{}

func (stack) Streams() bool { return false }

func (stack) Listen(addr string, conf *tls.Config, _ perf.Options) (perf.Listener, error) {
	l, err := tls.Listen("tcp", addr, conf)
	if err != nil {
		return nil, err
	}
	return listener{l}, nil
}

func (stack) Dialer(addr string, conf *tls.Config, _ perf.Options) (perf.Dialer, error) {
	return &dialer{addr, tls.Dialer{Config: conf}}, nil
}

type listener struct{ l net.Listener }

func (l listener) Addr() string { return l.l.Addr().String() }

func (l listener) Accept(context.Context) (perf.Conn, error) {
	c, err := l.l.Accept()
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c.(*tls.Conn), server: true}, nil
}

type dialer struct {
	addr string
	d    tls.Dialer
}

func (d *dialer) Dial(ctx context.Context) (perf.Conn, error) {
	c, err := d.d.DialContext(ctx, "tcp", d.addr)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c.(*tls.Conn)}, nil
}

// conn is a connection and its only stream.
type conn struct {
	*tls.Conn
	server           bool
	used             bool
	readEnd, written bool
}

var errUsed = errors.New("a connection has one stream")

func (c *conn) Open(context.Context) (perf.Stream, error) {
	if c.used {
		return nil, errUsed
	}
	c.used = true
	return c, nil
}

func (c *conn) Accept(ctx context.Context) (perf.Stream, error) { return c.Open(ctx) }

func (c *conn) Resumed() bool { return c.ConnectionState().DidResume }

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err == io.EOF {
		c.readEnd = true
		c.release()
	}
	return n, err
}

func (c *conn) WriteFinal(p []byte) error {
	if len(p) > 0 {
		if _, err := c.Write(p); err != nil {
			return err
		}
	}
	err := c.CloseWrite()
	c.written = true
	c.release()
	return err
}

// release closes a server's connection whose stream has ended in both directions.
func (c *conn) release() {
	if c.server && c.readEnd && c.written {
		c.Close()
	}
}

func (c *conn) Abort() { c.Close() }
