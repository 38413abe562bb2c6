package quic_test

import (
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed51309289/quiver/quic"
)

func forgetfulOpen(w *world, c *quic.Conn) *quic.Stream {
	s, err := c.OpenStreamSync(background)
	if err != nil {
		w.Fatal(err)
	}
	s.Write([]byte("x"))
	return s
}

func forgetfulAccept(w *world, c *quic.Conn) *quic.Stream {
	s, err := c.AcceptStream(background)
	if err != nil {
		w.Fatal(err)
	}
	return s
}

func TestForgottenStreamsAreToldWithTheirStack(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		client, server := newLogBook(), newLogBook()
		conf := func(b *logBook) *quic.Config {
			return &quic.Config{Logger: slog.New(b), StreamLeakAfter: 10 * time.Second, MaxIdleTimeout: time.Hour}
		}
		c, s := w.pair(conf(client), conf(server))
		done, accepted := forgetfulOpen(w, c), forgetfulAccept(w, s)
		done.Close()
		accepted.Close()
		forgotten := forgetfulOpen(w, c)
		forgetfulAccept(w, s)
		wantLines := func(when string, n int) {
			t.Helper()
			synctest.Wait()
			for side, book := range map[string]*logBook{"client": client, "server": server} {
				if got := strings.Count(book.String(), "stream is open for long"); got != n {
					t.Errorf("%s the %s's log tells of %d streams, want %d:\n%s", when, side, got, n, book)
				}
			}
		}
		time.Sleep(9 * time.Second)
		wantLines("before the time", 0)
		time.Sleep(time.Minute)
		wantLines("after it", 1) // and once, and of the forgotten one alone
		for text, wants := range map[string][]string{
			client.String(): {"level=WARN", "stream=4 after=10s how=opened", `stack="github.com/seed51309289/quiver/quic_test.forgetfulOpen (`, "leak_test.go:"},
			server.String(): {"level=WARN", "stream=4 after=10s how=accepted", `stack="github.com/seed51309289/quiver/quic_test.forgetfulAccept (`, "leak_test.go:"},
		} {
			for _, want := range wants {
				if !strings.Contains(text, want) {
					t.Errorf("the log has no %q:\n%s", want, text)
				}
			}
		}
		forgotten.Close()
		forgetfulOpen(w, c)
		c.CloseWithError(0, "")
		time.Sleep(time.Minute)
		wantLines("after the end of the connection", 1)
	})
}

func TestNobodyIsToldOfStreamsUnlessAsked(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		book := newLogBook()
		c, _ := w.pair(&quic.Config{Logger: slog.New(book), MaxIdleTimeout: -1}, nil)
		forgetfulOpen(w, c)
		time.Sleep(20 * time.Second)
		if text := book.String(); strings.Contains(text, "stream") {
			t.Errorf("the log tells of streams:\n%s", text)
		}
	})
	if err := (&quic.Config{StreamLeakAfter: time.Second}).Validate(); err == nil || !strings.Contains(err.Error(), "StreamLeakAfter: got 1s, want it with Logger") {
		t.Errorf("without a Logger: error %v", err)
	}
}
