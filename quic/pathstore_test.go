package quic_test

import (
	"context"
	"io"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/quic"
)

func TestPathStoreForgetsTheOldest(t *testing.T) {
	s := quic.NewPathStore(2, time.Hour)
	addr := func(n byte) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, n}) }
	for n := range byte(3) {
		s.Save(addr(n), hook.SavedPath{RTT: time.Second, Window: 1000 + int(n), When: time.Now()})
	}
	s.Save(addr(1), hook.SavedPath{RTT: time.Second, Window: 5000, When: time.Now()})
	for n, want := range []int{0, 5000, 1002} {
		if got, ok := s.Take(addr(byte(n))); got.Window != want || ok != (want > 0) {
			t.Errorf("peer %d: %+v, %v, want a window of %d", n, got, ok, want)
		}
	}
	if got, ok := s.Take(addr(1)); ok {
		t.Errorf("taken twice: %+v", got)
	}
}

func TestPathStoreForgetsWhatIsOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := quic.NewPathStore(2, time.Hour)
		peer := netip.MustParseAddr("2001:db8::1")
		s.Save(peer, hook.SavedPath{RTT: time.Second, Window: 1000, When: time.Now()})
		time.Sleep(time.Hour + 1)
		if got, ok := s.Take(peer); ok {
			t.Errorf("%+v after more than an hour, want nothing", got)
		}
	})
}

func TestSecondConnectionResumesThePath(t *testing.T) {
	const size = 4 << 20
	const distant = "simple-p2p --delay=150ms --bandwidth=50Mbps --queue=1000"
	inWorld(t, distant, func(w *world) {
		conf := &quic.Config{CarefulResume: quic.NewPathStore(10, time.Hour)}
		ln, err := w.server.Listen(w.serverTLS, conf)
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		go func() {
			for {
				c, err := ln.Accept(context.Background())
				if err != nil {
					return
				}
				go func() {
					if s, err := c.AcceptStream(context.Background()); err == nil {
						io.ReadAll(s)
						s.Write(make([]byte, size))
						s.Close()
					}
				}()
			}
		}()
		fetch := func() time.Duration {
			c := w.dial(nil)
			defer c.CloseWithError(0, "")
			s, err := c.OpenStreamSync(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			s.CloseWrite()
			if n, err := io.Copy(io.Discard, s); n != size || err != nil {
				t.Fatalf("%d bytes, %v", n, err)
			}
			return time.Since(began)
		}
		first := fetch()
		time.Sleep(10 * time.Second) // the server hears of the end
		second := fetch()
		t.Logf("%v, then %v", first, second)
		if second > first*8/10 {
			t.Errorf("%v the first time and %v the second, want a fifth less", first, second)
		}
	})
}
