package tunnel

import (
	"errors"
	"io"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/tcpq"
)

func TestPeersAndLinksAreBounded(t *testing.T) {
	inWorld(t, calm, Options{}, func(w *world) {
		w.dialer.init()
		for i := range maxPeers {
			w.dialer.peers[peerKey{netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 1), ""}] = new(peer)
		}
		if _, err := w.dialer.Dial(background, w.target()); !errors.Is(err, ErrTooManyPeers) || StatusOf(err) != tcpq.Overloaded {
			w.Errorf("dial of peer %d: %v, want %v, which is overloaded", maxPeers+1, err, ErrTooManyPeers)
		}
		clear(w.dialer.peers)
		near, far := w.pair()
		near.Close()
		far.Close()
		l := near.link
		for range maxLinks - len(w.dialer.links.all) {
			w.dialer.links.all[new(link)] = struct{}{}
		}
		target := w.target()
		target.OwnConnection = true
		if _, err := w.dialer.Dial(background, target); !errors.Is(err, ErrTooManyPeers) {
			w.Errorf("connection %d: %v, want %v", maxLinks+1, err, ErrTooManyPeers)
		}
		clear(w.dialer.links.all)
		w.dialer.links.all[l] = struct{}{}
		time.Sleep(time.Second)
	})
}

func TestServerRefusesConnectionsBeyondItsLimit(t *testing.T) {
	inWorld(t, calm, Options{}, func(w *world) {
		w.srv.links.mu.Lock()
		w.srv.links.all = make(map[*link]struct{})
		for range maxLinks {
			w.srv.links.all[new(link)] = struct{}{}
		}
		w.srv.links.mu.Unlock()
		if _, err := w.dialer.Dial(background, w.target()); err == nil || StatusOf(err) == tcpq.Accepted {
			w.Errorf("connection %d was taken", maxLinks+1)
		}
		w.srv.links.mu.Lock()
		clear(w.srv.links.all)
		w.srv.links.mu.Unlock()
	})
}

// TestUnansweredStreamsWaitInTheirConnection fills what may wait for an answer;
// those beyond it wait, and none is lost.
func TestUnansweredStreamsWaitInTheirConnection(t *testing.T) {
	inWorld(t, calm, Options{}, func(w *world) {
		const more = 10
		var mu sync.Mutex
		asked := 0
		release := make(chan struct{})
		w.handleBy(func(in *Incoming) {
			mu.Lock()
			asked++
			mu.Unlock()
			<-release
			in.Refuse(tcpq.Refused)
		})
		var wg sync.WaitGroup
		for range maxPending + more {
			wg.Go(func() {
				if _, err := w.dialer.Dial(background, w.target()); StatusOf(err) != tcpq.Refused {
					w.Error(err)
				}
			})
		}
		time.Sleep(5 * time.Second)
		mu.Lock()
		if asked != maxPending {
			w.Errorf("%d handlers run, want %d", asked, maxPending)
		}
		mu.Unlock()
		close(release)
		wg.Wait()
	})
}

func TestOpenMustComeInTime(t *testing.T) {
	inWorld(t, calm, Options{}, func(w *world) {
		near, far := w.pair()
		defer near.Close()
		defer far.Close()
		for _, tc := range []struct {
			name  string
			bytes []byte
			fin   bool
			want  uint64
			least time.Duration
		}{
			{"half of it, then silence", []byte{1, 8, 1}, false, tcpq.CodeTimeout, openWithin},
			{"something else", []byte("GET / HTTP/1.1\r\n"), false, tcpq.CodeMalformed, 0},
			{"half of it, then the end", []byte{1, 8, 1}, true, tcpq.CodeReset, 0},
		} {
			qs, err := near.Conn().OpenStream()
			if err != nil {
				w.Fatal(err)
			}
			start := time.Now()
			qs.Write(tc.bytes)
			if tc.fin {
				qs.CloseWrite()
			}
			_, err = qs.Read(make([]byte, 1))
			if code, ok := stopped(err); !ok || code != tc.want || time.Since(start) < tc.least {
				w.Errorf("%s: %v after %v, want code %d after %v", tc.name, err, time.Since(start), tc.want, tc.least)
			}
			qs.Close()
		}
	})
}

// TestDialersOfLaterVersionsAreServed has fields, flags and codes that nobody
// knows yet.
func TestDialersOfLaterVersionsAreServed(t *testing.T) {
	inWorld(t, calm, Options{}, func(w *world) {
		near, far := w.pair()
		defer near.Close()
		defer far.Close()
		qs, err := near.Conn().OpenStream()
		if err != nil {
			w.Fatal(err)
		}
		open := []byte{1, 0x40, 19, 0x2a, 3, 9, 9, 9, 1, 6, 127, 0, 0, 1, 0, 80, 3, 2, 0x7f, 0xff, 0x2a, 0}
		qs.Write(append(open, "bytes"...))
		s := <-w.accepted
		if s.Open().Dest.Port() != 80 || s.Open().Flags&tcpq.Optimistic == 0 {
			w.Errorf("OPEN is %+v", s.Open())
		}
		if _, err := io.ReadFull(s, make([]byte, 5)); err != nil {
			w.Error(err)
		}
		qs.CancelWrite(0x77)
		if _, err := s.Read(make([]byte, 1)); !isReset(err) {
			w.Errorf("read after a reset of an unknown code: %v", err)
		}
		s.Close()
		qs.Close()
	})
}

func TestThousandsOfStreamsShareAConnection(t *testing.T) {
	inWorld(t, calm, Options{}, func(w *world) {
		if got := w.srv.Options.ListenConfig(nil).Limits.MaxIncomingStreams; got != defaultMaxStreams {
			w.Errorf("streams allowed: %d, want %d", got, defaultMaxStreams)
		}
		const n = 3000
		var wg sync.WaitGroup
		var mu sync.Mutex
		var all []*Stream
		for range n {
			wg.Go(func() {
				s, err := w.dialer.Dial(background, w.target())
				if err != nil {
					w.Error(err)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				all = append(all, s)
			})
		}
		wg.Wait()
		conns := w.dialer.Snapshot()
		if len(conns) != 1 || len(conns[0].Streams) != n {
			w.Errorf("%d connections, want one with %d streams", len(conns), n)
		}
		for _, s := range all {
			s.Close()
			(<-w.accepted).Close()
		}
	})
}

func TestMoreStreamsThanAllowedWaitForTheirTurn(t *testing.T) {
	inWorld(t, calm, Options{MaxStreams: 10}, func(w *world) {
		w.handleBy(func(in *Incoming) {
			if s, err := in.Accept(); err == nil {
				time.Sleep(time.Second)
				s.Close()
			}
		})
		var wg sync.WaitGroup
		for range 35 {
			wg.Go(func() {
				s, err := w.dialer.Dial(background, w.target())
				if err != nil {
					w.Error(err)
					return
				}
				s.Read(make([]byte, 1))
				s.Close()
			})
		}
		wg.Wait()
	})
}
