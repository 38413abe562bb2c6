package quic_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed51309289/quiver/quic"
)

var background = context.Background()

func TestDeadlinesWakeAndPass(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		cs, _ := w.streams(w.pair(nil, nil))
		big := make([]byte, 64<<20) // more than any window
		for _, dir := range []struct {
			name string
			set  func(time.Time) error
			call func() error
		}{
			{"read", cs.SetReadDeadline, func() error { _, err := cs.Read(make([]byte, 1)); return err }},
			{"write", cs.SetWriteDeadline, func() error { _, err := cs.Write(big); return err }},
		} {
			want := func(what string, least time.Duration) {
				t.Helper()
				start := time.Now()
				err := dir.call()
				var ne net.Error
				if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &ne) || !ne.Timeout() {
					t.Errorf("%s, %s: got %v, want os.ErrDeadlineExceeded", dir.name, what, err)
				}
				w.wantTook(dir.name+", "+what, start, least, least)
			}
			dir.set(time.Now().Add(time.Second))
			want("deadline in the future", time.Second)
			want("deadline that has passed", 0)
			dir.set(time.Now().Add(-time.Second))
			want("deadline in the past", 0)

			dir.set(time.Now().Add(time.Second))
			time.AfterFunc(500*time.Millisecond, func() { dir.set(time.Now().Add(3 * time.Second)) })
			want("deadline that is moved away meanwhile", 3500*time.Millisecond)

			dir.set(time.Time{})
			time.AfterFunc(2*time.Second, func() { dir.set(time.Unix(1, 0)) })
			want("no deadline, then one in the past", 2*time.Second)
			dir.set(time.Time{})
		}
	})
}

func TestDeadlineEndsWithWhatItBounds(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		c, s := w.pair(nil, nil)
		cs, ss := w.streams(c, s)
		reset, _ := w.streams(c, s)
		for _, stream := range []*quic.Stream{cs, ss, reset} {
			stream.SetDeadline(time.Now().Add(time.Hour))
		}
		reset.CancelRead(1)
		reset.CancelWrite(1)
		if quic.DeadlinePending(reset) {
			t.Error("the deadlines of a stream that was given up are pending")
		}
		c.CloseWithError(0, "")
		time.Sleep(time.Minute)
		if quic.DeadlinePending(cs) || quic.DeadlinePending(ss) {
			t.Error("the deadlines of a connection that has ended are pending, and keep it in memory")
		}
	})
}

func TestDeadlineTakenAwayNeverFires(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		cs, ss := w.streams(w.pair(nil, nil))
		cs.SetDeadline(time.Now().Add(time.Second))
		cs.SetDeadline(time.Time{})
		time.AfterFunc(5*time.Second, func() { ss.Write([]byte{9}) })
		var p [1]byte
		if _, err := cs.Read(p[:]); err != nil || p[0] != 9 {
			t.Errorf("read: got %v, error %v, want the byte", p, err)
		}
	})
}

func TestCallsAfterTheEndOfAStream(t *testing.T) {
	read := func(s *quic.Stream) error { _, err := s.Read(make([]byte, 1)); return err }
	write := func(s *quic.Stream) error { _, err := s.Write(make([]byte, 1)); return err }
	writeNothing := func(s *quic.Stream) error { _, err := s.Write(nil); return err }
	local := func(err error) bool {
		var e *quic.StreamError
		return errors.As(err, &e) && !e.Remote && e.Code == 5 && errors.Is(err, net.ErrClosed)
	}
	closed := func(err error) bool { return errors.Is(err, net.ErrClosed) }
	fine := func(err error) bool { return err == nil }
	for _, test := range []struct {
		name string
		end  func(*quic.Stream)
		call func(*quic.Stream) error
		want func(error) bool
	}{
		{"read after Close", func(s *quic.Stream) { s.Close() }, read, closed},
		{"write after Close", func(s *quic.Stream) { s.Close() }, write, closed},
		{"write after CloseWrite", func(s *quic.Stream) { s.CloseWrite() }, write, closed},
		{"write of nothing after CloseWrite", func(s *quic.Stream) { s.CloseWrite() }, writeNothing, closed},
		{"write of nothing", func(s *quic.Stream) {}, writeNothing, fine},
		{"read after CancelRead", func(s *quic.Stream) { s.CancelRead(5) }, read, local},
		{"write after CancelRead", func(s *quic.Stream) { s.CancelRead(5) }, write, fine},
		{"write after CancelWrite", func(s *quic.Stream) { s.CancelWrite(5) }, write, local},
		{"write after CancelWrite and CloseWrite", func(s *quic.Stream) { s.CancelWrite(5); s.CloseWrite() }, write, local},
		{"write after Close and CancelWrite", func(s *quic.Stream) { s.Close(); s.CancelWrite(5) }, write, local},
		{"write after two Closes", func(s *quic.Stream) { s.Close(); s.Close() }, write, closed},
		{"read after a deadline and Close", func(s *quic.Stream) { s.SetDeadline(time.Unix(1, 0)); s.Close() }, read, closed},
	} {
		t.Run(test.name, func(t *testing.T) {
			inWorld(t, calm, func(w *world) {
				cs, _ := w.streams(w.pair(nil, nil))
				test.end(cs)
				if err := test.call(cs); !test.want(err) {
					t.Errorf("got %v", err)
				}
			})
		})
	}
}

func TestBlockedCallsEndWithTheirStream(t *testing.T) {
	read := func(s *quic.Stream) error { _, err := s.Read(make([]byte, 1)); return err }
	write := func(s *quic.Stream) error { _, err := s.Write(make([]byte, 64<<20)); return err }
	for _, test := range []struct {
		name string
		call func(*quic.Stream) error
		end  func(near, far *quic.Stream)
		want quic.StreamError // zero = net.ErrClosed only
	}{
		{"read, Close", read, func(near, far *quic.Stream) { near.Close() }, quic.StreamError{}},
		{"write, Close", write, func(near, far *quic.Stream) { near.Close() }, quic.StreamError{}},
		{"write, CloseWrite", write, func(near, far *quic.Stream) { near.CloseWrite() }, quic.StreamError{}},
		{"read, CancelRead", read, func(near, far *quic.Stream) { near.CancelRead(3) }, quic.StreamError{Code: 3}},
		{"write, CancelWrite", write, func(near, far *quic.Stream) { near.CancelWrite(3) }, quic.StreamError{Code: 3}},
		{"read, the peer's CancelWrite", read, func(near, far *quic.Stream) { far.CancelWrite(4) }, quic.StreamError{Code: 4, Remote: true}},
		{"write, the peer's CancelRead", write, func(near, far *quic.Stream) { far.CancelRead(4) }, quic.StreamError{Code: 4, Remote: true}},
		{"write, the peer's Close", write, func(near, far *quic.Stream) { far.Close() }, quic.StreamError{Remote: true}},
	} {
		t.Run(test.name, func(t *testing.T) {
			inWorld(t, calm, func(w *world) {
				near, far := w.streams(w.pair(nil, nil))
				ended := make(chan error)
				go func() { ended <- test.call(near) }()
				time.Sleep(5 * time.Second)
				start := time.Now()
				test.end(near, far)
				err := <-ended
				w.wantTook("learning of it", start, 0, rtt/2+5*time.Millisecond)
				var e *quic.StreamError
				if test.want == (quic.StreamError{}) {
					if !errors.Is(err, net.ErrClosed) {
						t.Errorf("got %v, want net.ErrClosed", err)
					}
					return
				}
				if !errors.As(err, &e) || e.Code != test.want.Code || e.Remote != test.want.Remote || e.StreamID != near.StreamID() {
					t.Errorf("got %v, want %v", err, &test.want)
				}
			})
		})
	}
}

func TestCloseDeliversWhatWasWritten(t *testing.T) {
	inWorld(t, lossy, func(w *world) {
		cs, ss := w.streams(w.pair(nil, nil))
		want := randomBytes(100 << 10)
		if _, err := cs.Write(want); err != nil {
			t.Fatal(err)
		}
		cs.Close()
		got, err := io.ReadAll(ss)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("read %d bytes, error %v, want %d", len(got), err, len(want))
		}
	})
}

func TestWriteFinalEndsTheStreamInOneDatagram(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		c, s := w.pair(nil, nil)
		time.Sleep(2 * time.Second) // until both sides have nothing more to say
		before := w.net.Stats().ToServer.Packets
		cs, _ := c.OpenUniStream()
		if n, err := cs.WriteFinal([]byte("request")); n != 7 || err != nil {
			t.Fatalf("WriteFinal = %d, %v", n, err)
		}
		if got := w.net.Stats().ToServer.Packets - before; got != 1 {
			t.Errorf("a request and its end took %d datagrams, want 1", got)
		}
		ss, err := s.AcceptUniStream(background)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(ss); string(got) != "request" || err != nil {
			t.Errorf("the peer read %q, error %v", got, err)
		}
		if _, err := cs.Write([]byte("more")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Write after WriteFinal: got %v, want net.ErrClosed", err)
		}
	})
}

func TestWriteFinalOfMoreThanTheBufferEndsTheStream(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		cs, ss := w.streams(w.pair(nil, nil))
		want := randomBytes(2 << 20)
		go func() {
			if n, err := cs.WriteFinal(want); n != len(want) || err != nil {
				t.Errorf("WriteFinal = %d, %v, want %d", n, err, len(want))
			}
		}()
		got, err := io.ReadAll(ss)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("read %d bytes, error %v, want %d", len(got), err, len(want))
		}
	})
}

func TestWhatArrivedIsReadAfterTheConnectionEnded(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		c, s := w.pair(nil, nil)
		cs, _ := c.OpenUniStream()
		cs.Write([]byte("last words"))
		cs.CloseWrite()
		time.Sleep(time.Second)
		c.CloseWithError(0, "")
		<-s.Context().Done()
		ss, err := s.AcceptUniStream(background)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(ss); string(got) != "last words" || err != nil {
			t.Errorf("got %q, error %v", got, err)
		}
		if _, err := s.AcceptUniStream(background); !errors.Is(err, net.ErrClosed) {
			t.Errorf("the next stream: got %v, want net.ErrClosed", err)
		}
	})
}

func TestUniStreamsGoOneWay(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		c, s := w.pair(nil, nil)
		cs, err := c.OpenUniStreamSync(background)
		if err != nil {
			t.Fatal(err)
		}
		cs.Write([]byte("x"))
		ss, err := s.AcceptUniStream(background)
		if err != nil {
			t.Fatal(err)
		}
		cs.Close()
		if got, err := io.ReadAll(ss); string(got) != "x" || err != nil {
			t.Errorf("got %q, error %v, want x", got, err)
		}
	})
}

func TestStreamLimitHoldsAndLifts(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		c, s := w.pair(nil, &quic.Config{Limits: quic.Limits{MaxIncomingStreams: 2}})
		first, ss := w.streams(c, s)
		w.streams(c, s)
		if _, err := c.OpenStream(); !errors.Is(err, quic.ErrStreamLimit) {
			t.Fatalf("third stream: got %v, want ErrStreamLimit", err)
		}
		ctx, cancel := context.WithTimeout(background, time.Second)
		defer cancel()
		start := time.Now()
		if _, err := c.OpenStreamSync(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("third stream with a deadline: got %v, want context.DeadlineExceeded", err)
		}
		w.wantTook("waiting", start, time.Second, time.Second)
		time.AfterFunc(time.Second, func() {
			first.Close()
			ss.Close()
		})
		start = time.Now()
		third, err := c.OpenStreamSync(background)
		if err != nil {
			t.Fatalf("third stream after the first ended: %v", err)
		}
		w.wantTook("waiting", start, time.Second, time.Second+3*rtt)
		if third.StreamID() != 8 {
			t.Errorf("third stream's ID: got %d, want 8", third.StreamID())
		}
	})
}

func TestNegativeStreamLimitAllowsNone(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		c, s := w.pair(&quic.Config{Limits: quic.Limits{MaxIncomingUniStreams: -1}}, &quic.Config{Limits: quic.Limits{MaxIncomingStreams: -1}})
		if _, err := c.OpenStream(); !errors.Is(err, quic.ErrStreamLimit) {
			t.Errorf("client's stream: got %v, want ErrStreamLimit", err)
		}
		if _, err := s.OpenUniStream(); !errors.Is(err, quic.ErrStreamLimit) {
			t.Errorf("server's unidirectional stream: got %v, want ErrStreamLimit", err)
		}
		if _, err := s.OpenStream(); err != nil {
			t.Errorf("server's stream: got %v, want one", err)
		}
	})
}

func TestContextsEndWaiting(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		l := w.listen(nil)
		cause := errors.New("had enough")
		wait := func(name string, call func(context.Context) error) {
			t.Helper()
			ctx, cancel := context.WithCancelCause(background)
			time.AfterFunc(time.Second, func() { cancel(cause) })
			start := time.Now()
			if err := call(ctx); !errors.Is(err, cause) {
				t.Errorf("%s: got %v, want the cause", name, err)
			}
			w.wantTook(name, start, time.Second, time.Second)
			if err := call(ctx); !errors.Is(err, cause) {
				t.Errorf("%s with a context that is done: got %v, want the cause", name, err)
			}
		}
		wait("Accept", func(ctx context.Context) error { _, err := l.Accept(ctx); return err })
		c := w.dial(nil)
		wait("AcceptStream", func(ctx context.Context) error { _, err := c.AcceptStream(ctx); return err })
		wait("AcceptUniStream", func(ctx context.Context) error { _, err := c.AcceptUniStream(ctx); return err })
	})
}

func TestAcceptTakesWhatIsThereEvenIfTheContextIsDone(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		c, s := w.pair(nil, nil)
		cs, _ := c.OpenStream()
		cs.Write([]byte("x"))
		time.Sleep(time.Second)
		synctest.Wait()
		ctx, cancel := context.WithCancel(background)
		cancel()
		if _, err := s.AcceptStream(ctx); err != nil {
			t.Errorf("got %v, want the stream that waits", err)
		}
	})
}
