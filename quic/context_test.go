package quic_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed51309289/quiver/quic"
)

var errEnough = errors.New("enough")

func TestContextsWakeReadsAndWrites(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		cs, _ := w.streams(w.pair(nil, nil))
		for _, dir := range []struct {
			name string
			set  func(context.Context)
			call func() error
		}{
			{"read", cs.SetReadContext, func() error { _, err := cs.Read(make([]byte, 1)); return err }},
			{"write", cs.SetWriteContext, func() error { _, err := cs.Write(make([]byte, 64<<20)); return err }},
		} {
			want := func(what string, least time.Duration, is ...error) {
				t.Helper()
				start := time.Now()
				err := dir.call()
				for _, e := range is {
					if !errors.Is(err, e) {
						t.Errorf("%s, %s: got %v, want %v", dir.name, what, err, e)
					}
				}
				w.wantTook(dir.name+", "+what, start, least, least)
			}
			ctx, cancel := context.WithCancelCause(background)
			dir.set(ctx)
			time.AfterFunc(time.Second, func() { cancel(errEnough) })
			want("context that ends", time.Second, errEnough, context.Canceled)
			want("context that has ended", 0, errEnough, context.Canceled)
			ctx, stop := context.WithTimeout(background, time.Second)
			dir.set(ctx)
			want("context with a deadline", time.Second, context.DeadlineExceeded)
			stop()
			dir.set(nil)
			done, cancelDone := context.WithCancel(background)
			cancelDone()
			time.AfterFunc(time.Second, func() { dir.set(done) })
			want("no context, then one that is done", time.Second, context.Canceled)
			dir.set(background)
		}
		if cs.Close(); cs.StreamID() != 0 {
			t.Errorf("StreamID: got %d, want 0", cs.StreamID())
		}
	})
}

func TestContextTakenAwayNeverWakes(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		cs, ss := w.streams(w.pair(nil, nil))
		ctx, cancel := context.WithCancel(background)
		cs.SetReadContext(ctx)
		var none context.Context
		cs.SetReadContext(none)
		cancel()
		time.AfterFunc(time.Second, func() { ss.Write([]byte{9}) })
		if n, err := cs.Read(make([]byte, 1)); n != 1 || err != nil {
			t.Errorf("read: got %d bytes, error %v, want the byte", n, err)
		}
	})
}

func TestContextOfAStreamEndsWithItsDirection(t *testing.T) {
	remote := func(err error) bool {
		var e *quic.StreamError
		return errors.As(err, &e) && e.Remote && e.Code == 5
	}
	local := func(err error) bool {
		var e *quic.StreamError
		return errors.As(err, &e) && !e.Remote && errors.Is(err, net.ErrClosed)
	}
	closed := func(err error) bool { return errors.Is(err, net.ErrClosed) }
	eof := func(err error) bool { return err == io.EOF }
	app := func(err error) bool {
		var e *quic.ApplicationError
		return errors.As(err, &e) && e.Code == 7
	}
	for _, test := range []struct {
		name    string
		end     func(c *quic.Conn, near, far *quic.Stream)
		reading func(error) bool // nil = goes on
		writing func(error) bool
	}{
		{"Close", func(_ *quic.Conn, near, _ *quic.Stream) { near.Close() }, local, closed},
		{"CloseWrite", func(_ *quic.Conn, near, _ *quic.Stream) { near.CloseWrite() }, nil, closed},
		{"WriteFinal", func(_ *quic.Conn, near, _ *quic.Stream) { near.WriteFinal(nil) }, nil, closed},
		{"CancelWrite", func(_ *quic.Conn, near, _ *quic.Stream) { near.CancelWrite(5) }, nil, local},
		{"CloseRead", func(_ *quic.Conn, near, _ *quic.Stream) { near.CloseRead() }, local, nil},
		{"the peer's CancelWrite", func(_ *quic.Conn, _, far *quic.Stream) { far.CancelWrite(5) }, remote, nil},
		{"the peer's CancelRead", func(_ *quic.Conn, _, far *quic.Stream) { far.CancelRead(5) }, nil, remote},
		{"the end, unread", func(_ *quic.Conn, _, far *quic.Stream) { far.CloseWrite() }, nil, nil},
		{"the end, read", func(_ *quic.Conn, near, far *quic.Stream) { far.CloseWrite(); io.ReadAll(near) }, eof, nil},
		{"the connection's end", func(c *quic.Conn, _, _ *quic.Stream) { c.CloseWithError(7, "") }, app, app},
	} {
		for _, early := range []bool{true, false} {
			t.Run(test.name, func(t *testing.T) {
				inWorld(t, calm, func(w *world) {
					c, s := w.pair(nil, nil)
					near, far := w.streams(c, s)
					if early { // the contexts are there before the end, or made after it
						near.Context()
						near.ReceiveStream.Context()
					}
					test.end(c, near, far)
					time.Sleep(rtt)
					synctest.Wait()
					for what, dir := range map[string]struct {
						ctx  context.Context
						want func(error) bool
					}{
						"reading": {near.ReceiveStream.Context(), test.reading},
						"writing": {near.Context(), test.writing},
					} {
						switch err := context.Cause(dir.ctx); {
						case dir.want == nil && err != nil:
							t.Errorf("%s ended: %v, want that it goes on", what, err)
						case dir.want != nil && !dir.want(err):
							t.Errorf("%s: got %v", what, err)
						}
					}
				})
			})
		}
	}
}

func TestContextOfAConnIsDoneIfAskedForAfterTheEnd(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		c, _ := w.pair(nil, nil)
		c.CloseWithError(7, "bye")
		var e *quic.ApplicationError
		if err := context.Cause(c.Context()); !errors.As(err, &e) || e.Code != 7 {
			t.Errorf("cause: got %v, want the close", err)
		}
	})
}

func TestDialAndListenOwnTheirSockets(t *testing.T) {
	client, server := configs()
	sock := func() net.PacketConn {
		s, err := net.ListenPacket("udp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	l, err := quic.Listen(sock(), server, nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := quic.Dial(background, sock(), l.Addr(), client, nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.Accept(background)
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.OpenUniStream()
	if err != nil {
		t.Fatal(err)
	}
	out.WriteFinal([]byte("hello"))
	in, err := s.AcceptUniStream(background)
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if n, err := in.WriteTo(&got); n != 5 || err != nil {
		t.Errorf("WriteTo = %d, %v", n, err)
	}
	c.CloseWithError(0, "")
	l.Close()
	for name, err := range map[string]error{
		"Dial":   func() error { _, err := quic.Dial(background, sock(), l.Addr(), nil, nil); return err }(),
		"Listen": func() error { _, err := quic.Listen(sock(), nil, nil); return err }(),
	} {
		if err == nil { // that the socket is closed, TestMain sees
			t.Errorf("%s without a tls.Config: no error", name)
		}
	}
}
