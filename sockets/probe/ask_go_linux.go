package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// The network of Go's own library, which listens with MPTCP, polls edge-triggered
// and uses sendfile and splice by itself.
var goQuestions = []question{
	{name: "go-dial-4", about: "net.Dial, names and words", ask: func(q *asker) { q.goDial(q.four) }},
	{name: "go-dial-6", about: "the same, IPv6", ask: func(q *asker) { q.goDial(q.six) }},
	{name: "go-dial-mptcp", about: "a dialer with MPTCP", ask: (*asker).goDialMPTCP},
	{name: "go-dial-refused", about: "net.Dial to a closed port", ask: (*asker).goDialRefused},
	{name: "go-dial-timeout", about: "net.DialTimeout where nobody answers", ask: (*asker).goDialTimeout},
	{name: "go-dial-cancel", about: "a dial that is cancelled", ask: (*asker).goDialCancel},
	{name: "go-dial-many", about: "100 goroutines dial at once", limit: 20 * time.Second, ask: (*asker).goDialMany},
	{name: "go-listen", about: "net.Listen, called by the counterpart", ask: (*asker).goListen},
	{name: "go-deadline", about: "read deadlines, and reading after them", ask: (*asker).goDeadline},
	{name: "go-close", about: "Close ends a Read of another goroutine", ask: (*asker).goClose},
	{name: "go-close-write", about: "CloseWrite, and reading to the end", ask: (*asker).goCloseWrite},
	{name: "go-file", about: "File and FileConn", ask: (*asker).goFile},
	{name: "go-sendfile", about: "io.Copy from a file", ask: (*asker).goSendfile},
	{name: "go-splice", about: "io.Copy between connections", ask: (*asker).goSplice},
	{name: "go-http", about: "net/http over a listener of our own, 20 requests at once", limit: 20 * time.Second, ask: (*asker).goHTTP},
}

// script hands a script over a connection of package net.
func (q *asker) goScript(c net.Conn, script string, args ...any) {
	_, err := fmt.Fprintf(c, script+"\n", args...)
	q.must("script", err)
}

func (q *asker) goOpen(script string, args ...any) *net.TCPConn {
	c, err := net.Dial("tcp", q.four.String())
	q.must("dial", err)
	q.goScript(c, script, args...)
	return c.(*net.TCPConn)
}

func (q *asker) goLine(r io.Reader) string {
	line, err := readLine(r)
	if err != nil {
		return why(err)
	}
	return line
}

func (q *asker) goDial(to netip.AddrPort) {
	c, err := net.Dial("tcp", to.String())
	q.must("dial", err)
	q.is("peer as asked", c.RemoteAddr().String() == to.String())
	q.goScript(c, "names;echo")
	q.agree(q.goLine(c), c.LocalAddr().(*net.TCPAddr).AddrPort(), to)
	io.WriteString(c, "words\n")
	q.say("%s", q.goLine(c))
	q.did("close", c.Close())
}

func (q *asker) goDialMPTCP() {
	var d net.Dialer
	d.SetMultipathTCP(true)
	c, err := d.Dial("tcp", q.four.String())
	q.must("dial", err)
	q.goScript(c, "echo")
	io.WriteString(c, "words\n")
	q.say("%s", q.goLine(c))
}

func (q *asker) goDialRefused() {
	_, err := net.Dial("tcp", closed(q.four).String())
	q.is("ECONNREFUSED", errors.Is(err, syscall.ECONNREFUSED))
	if q.six.IsValid() {
		_, err = net.Dial("tcp", closed(q.six).String())
		q.is("six", errors.Is(err, syscall.ECONNREFUSED))
	}
}

func (q *asker) goDialTimeout() {
	at, hold := q.stuck()
	_, err := net.DialTimeout("tcp", at.String(), 100*time.Millisecond)
	var ne net.Error
	q.is("timeout", errors.As(err, &ne) && ne.Timeout())
	closeAll(hold[:]...)
}

func (q *asker) goDialCancel() {
	at, hold := q.stuck()
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(silence, cancel)
	_, err := new(net.Dialer).DialContext(ctx, "tcp", at.String())
	q.is("cancelled", err != nil && strings.Contains(err.Error(), "operation was canceled"))
	closeAll(hold[:]...)
}

func (q *asker) goDialMany() {
	var wg sync.WaitGroup
	var right atomic.Int32
	for i := range 100 {
		wg.Go(func() {
			c, err := net.Dial("tcp", q.four.String())
			if err != nil {
				return
			}
			defer c.Close()
			fmt.Fprintf(c, "say %d\n", i)
			if line, _ := readLine(c); line == fmt.Sprint(i) {
				right.Add(1)
			}
		})
	}
	wg.Wait()
	q.say("right %d", right.Load())
}

func (q *asker) goListen() {
	ln, err := net.Listen("tcp", ":0")
	q.must("listen", err)
	port := ln.Addr().(*net.TCPAddr).Port
	c := q.goOpen("back %d names,echo", port)
	conn, err := ln.Accept()
	q.must("accept", err)
	c.Close()
	from := conn.RemoteAddr().(*net.TCPAddr).AddrPort()
	q.is("its address", from.Addr().Unmap() == q.four.Addr())
	q.agree(q.goLine(conn), conn.LocalAddr().(*net.TCPAddr).AddrPort(), from)
	io.WriteString(conn, "words\n")
	q.say("%s", q.goLine(conn))
	q.did("close", ln.Close())
	_, err = ln.Accept()
	q.is("closed", errors.Is(err, net.ErrClosed))
}

func (q *asker) goDeadline() {
	c := q.goOpen("read 1;say late;eof")
	c.SetReadDeadline(time.Now().Add(silence))
	_, err := c.Read(make([]byte, 1))
	q.is("timeout", errors.Is(err, os.ErrDeadlineExceeded))
	c.SetReadDeadline(time.Time{})
	io.WriteString(c, "x")
	q.say("%s", q.goLine(c))
}

func (q *asker) goClose() {
	c := q.goOpen("silent")
	time.AfterFunc(silence, func() { c.Close() })
	_, err := c.Read(make([]byte, 1))
	q.is("closed", errors.Is(err, net.ErrClosed))
}

func (q *asker) goCloseWrite() {
	c := q.goOpen("eof;tell")
	io.WriteString(c, "abc")
	q.did("CloseWrite", c.CloseWrite())
	b, err := io.ReadAll(c)
	q.did("ReadAll", err)
	q.say("the other end has %s", brief(string(b)))
}

func (q *asker) goFile() {
	c := q.goOpen("echo")
	f, err := c.File()
	q.must("File", err)
	c.Close()
	d, err := net.FileConn(f)
	q.must("FileConn", err)
	f.Close()
	q.is("peer as asked", d.RemoteAddr().String() == q.four.String())
	io.WriteString(d, "words\n")
	q.say("%s", q.goLine(d))
}

func (q *asker) goSendfile() {
	const size = 300_000
	f, err := os.CreateTemp("", "probe")
	q.must("file", err)
	defer os.Remove(f.Name())
	b := make([]byte, size)
	pattern(b, 0)
	f.Write(b)
	f.Seek(0, io.SeekStart)
	c := q.goOpen("eof;tell")
	n, err := io.Copy(c, f)
	q.count("copy", int(n), err)
	c.CloseWrite()
	q.is("hash", strings.HasSuffix(q.goLine(c), fmt.Sprintf("EOF after %d bytes, hash %016x", size, hash(hashStart, b))))
}

func (q *asker) goSplice() {
	const size = 300_000
	from, to := q.goOpen("send %d;half;eof", size), q.goOpen("eof;tell")
	n, err := io.Copy(to, from)
	q.count("copy", int(n), err)
	to.CloseWrite()
	b := make([]byte, size)
	pattern(b, 0)
	q.is("hash", strings.HasSuffix(q.goLine(to), fmt.Sprintf("EOF after %d bytes, hash %016x", size, hash(hashStart, b))))
}

func (q *asker) goHTTP() {
	ln, err := net.Listen("tcp", ":0")
	q.must("listen", err)
	body := bytes.Repeat([]byte("0123456789"), 10_000)
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write(body) })}
	go srv.Serve(ln)
	url := fmt.Sprintf("http://127.0.0.1:%d/", ln.Addr().(*net.TCPAddr).Port)
	var wg sync.WaitGroup
	var right atomic.Int32
	for range 20 {
		wg.Go(func() {
			resp, err := http.Get(url)
			if err != nil {
				return
			}
			defer resp.Body.Close()
			if b, err := io.ReadAll(resp.Body); err == nil && bytes.Equal(b, body) {
				right.Add(1)
			}
		})
	}
	wg.Wait()
	q.say("right %d", right.Load())
	q.did("close", srv.Close())
}
