package tunnel

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/seed51309289/quiver/netsim"
	"github.com/seed51309289/quiver/quic"
)

// cable is a socket that can be pulled out.
type cable struct {
	net.PacketConn
	out atomic.Bool
}

func (c *cable) WriteTo(p []byte, to net.Addr) (int, error) {
	if c.out.Load() {
		return len(p), nil
	}
	return c.PacketConn.WriteTo(p, to)
}

func (c *cable) ReadFrom(p []byte) (int, net.Addr, error) {
	for {
		n, from, err := c.PacketConn.ReadFrom(p)
		if err != nil || !c.out.Load() {
			return n, from, err
		}
	}
}

// cabled gives the client's Transport a cable. It must be called before the
// first dial.
func (w *world) cabled() *cable {
	c := &cable{PacketConn: w.client.Conn}
	w.client.Conn = c
	return c
}

// memPumped is pumped with programs in memory.
func (w *world) memPumped() (near, far *memLeg, nearEnd, farEnd chan Result) {
	w.Helper()
	ns, fs := w.pair()
	near, nearLeg := memPair()
	far, farLeg := memPair()
	nearEnd, farEnd = make(chan Result, 1), make(chan Result, 1)
	go func() { nearEnd <- Pump(nearLeg, ns) }()
	go func() { farEnd <- Pump(farLeg, fs) }()
	return near, far, nearEnd, farEnd
}

func TestSessionSurvivesABlackoutOfTwentySeconds(t *testing.T) {
	inWorld(t, calm, Options{}, func(w *world) {
		cable := w.cabled()
		near, far, nearEnd, farEnd := w.memPumped()
		const size = 4 << 20
		for range 2 { // once in the middle of a transfer, once in silence
			cable.out.Store(false)
			got := make(chan int64, 1)
			go func() {
				n, err := io.CopyN(io.Discard, far, size)
				if err != nil {
					w.Error(err)
				}
				got <- n
			}()
			go near.Write(make([]byte, size))
			time.Sleep(100 * time.Millisecond)
			cable.out.Store(true)
			time.Sleep(20 * time.Second)
			cable.out.Store(false)
			start := time.Now()
			if n := <-got; n != size {
				w.Errorf("%d bytes arrived, want %d", n, size)
			}
			if took := time.Since(start); took > time.Minute {
				w.Errorf("after the blackout the rest took %v", took)
			}
			time.Sleep(time.Second)
			cable.out.Store(true)
			time.Sleep(20 * time.Second)
		}
		cable.out.Store(false)
		near.Close()
		far.Close()
		if r := <-nearEnd; r.Ending != Finished {
			w.Errorf("near end: %v, %v", r.Ending, r.Err)
		}
		if r := <-farEnd; r.Ending != Finished {
			w.Errorf("far end: %v, %v", r.Ending, r.Err)
		}
	})
}

func TestPeerThatVanishesResetsBothProgramsInTime(t *testing.T) {
	for _, busy := range []bool{false, true} {
		inWorld(t, calm, Options{}, func(w *world) {
			cable := w.cabled()
			near, far, nearEnd, farEnd := w.memPumped()
			near.Write([]byte("x"))
			io.ReadFull(far, make([]byte, 1))
			time.Sleep(5 * time.Minute) // of silence, which is nothing
			start := time.Now()
			cable.out.Store(true)
			if busy {
				go near.Write(make([]byte, 10<<20))
				go far.Write(make([]byte, 10<<20))
			}
			for _, end := range []struct {
				name    string
				program *memLeg
				result  chan Result
			}{{"near", near, nearEnd}, {"far", far, farEnd}} {
				if _, err := io.Copy(io.Discard, end.program); !errors.Is(err, syscall.ECONNRESET) {
					w.Errorf("busy %v: %s program reads %v, want ECONNRESET", busy, end.name, err)
				}
				if r := <-end.result; r.Ending != PeerLost {
					w.Errorf("busy %v: %s end: %v, %v", busy, end.name, r.Ending, r.Err)
				}
				// Both may have heard of the other up to a keep-alive period before.
				if took := time.Since(start); took < defaultPeerTimeout-defaultKeepAlive-time.Second || took > defaultPeerTimeout+defaultKeepAlive+5*time.Second {
					w.Errorf("busy %v: %s end noticed after %v", busy, end.name, took)
				}
			}
			near.Close()
			far.Close()
		})
	}
}

// TestServerStartedAnewCostsADialASecond has a server that forgot its
// connections and says nothing of it.
func TestServerStartedAnewCostsADialASecond(t *testing.T) {
	inWorld(t, calm, Options{}, func(w *world) {
		old, far := w.pair()
		at := addrPort(w.server.LocalAddr())
		w.restart(at)
		far.Close()
		start := time.Now()
		s, farAgain := w.pair()
		if took := time.Since(start); took < doubtAfter || took > doubtAfter+4*rtt {
			w.Errorf("dial took %v, want a little more than %v", took, doubtAfter)
		}
		start = time.Now()
		again, farThird := w.pair()
		if took := time.Since(start); took > rtt+rtt/5 || again.Conn() != s.Conn() {
			w.Errorf("the next dial took %v, want a round trip on the new connection", took)
		}
		for _, s := range []*Stream{old, s, farAgain, again, farThird} {
			s.Close()
		}
	})
}

// restart puts another Server at the place of the one that is there, which goes
// without a word.
func (w *world) restart(at netip.AddrPort) {
	w.Helper()
	w.server.Conn.Close() // no word leaves any more
	<-w.served
	w.server.Close()
	w.srv.Close(background)
	sock, err := w.net.Listen(netsim.Right, at)
	if err != nil {
		w.Fatal(err)
	}
	w.server = &quic.Transport{Conn: sock}
	w.srv = &Server{}
	if w.ln, err = w.server.Listen(w.serverTLS, w.srv.Options.ListenConfig(nil)); err != nil {
		w.Fatal(err)
	}
	ln, srv := w.ln, w.srv
	go func() { w.served <- srv.Serve(background, ln, func(in *Incoming) { w.handler()(in) }) }()
}

func TestSlowAnswerIsNoReasonToDoubt(t *testing.T) {
	inWorld(t, calm, Options{}, func(w *world) {
		warm, far := w.pair()
		w.handleBy(func(in *Incoming) {
			time.Sleep(10 * time.Second)
			if s, err := in.Accept(); err == nil {
				w.accepted <- s
			}
		})
		start := time.Now()
		s, farAgain := w.pair()
		if took := time.Since(start); took < 10*time.Second || s.Conn() != warm.Conn() {
			w.Errorf("dial took %v on another connection: %v", took, s.Conn() != warm.Conn())
		}
		if n := len(w.dialer.Snapshot()); n != 1 {
			w.Errorf("%d connections, want 1", n)
		}
		for _, s := range []*Stream{warm, far, s, farAgain} {
			s.Close()
		}
	})
}

func TestBrokenPooledConnectionFailsNoDial(t *testing.T) {
	inWorld(t, calm, Options{}, func(w *world) {
		warm, far := w.pair()
		first := true
		w.handleBy(func(in *Incoming) {
			if first {
				first = false
				in.Conn().CloseWithError(9, "just now")
				return
			}
			if s, err := in.Accept(); err == nil {
				w.accepted <- s
			}
		})
		s, farAgain := w.pair()
		if s.Conn() == warm.Conn() {
			w.Error("the stream is on the broken connection")
		}
		for _, s := range []*Stream{warm, far, s, farAgain} {
			s.Close()
		}
	})
}

func TestDialOfNobodyEndsWithTheHandshakesTimeOut(t *testing.T) {
	inWorld(t, calm, Options{}, func(w *world) {
		cable := w.cabled()
		cable.out.Store(true)
		start := time.Now()
		_, err := w.dialer.Dial(background, w.target())
		var peer *PeerError
		if !errors.As(err, &peer) || StatusOf(err).String() != "timed out" || time.Since(start) != 10*time.Second {
			w.Errorf("dial: %v, which is %v, after %v", err, StatusOf(err), time.Since(start))
		}
	})
}

func TestConnectionsMoveToNewSockets(t *testing.T) {
	w := onLoopback(t, Options{})
	near, far := w.pair()
	defer near.Close()
	defer far.Close()
	before := near.Conn().LocalAddr().String()
	ctx, cancel := context.WithTimeout(background, 10*time.Second)
	defer cancel()
	if stayed, err := w.dialer.Moved(ctx); stayed != 0 || err != nil {
		t.Fatalf("Moved = %d, %v", stayed, err)
	}
	if now := near.Conn().LocalAddr().String(); now == before {
		t.Errorf("the connection is still at %s", now)
	}
	far.Write([]byte("there you are"))
	if _, err := io.ReadFull(near, make([]byte, 13)); err != nil {
		t.Error(err)
	}
}
