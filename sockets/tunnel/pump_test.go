//go:build unix

package tunnel

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

func TestPumpedBytesArrive(t *testing.T) {
	p := onLoopback(t, Options{}).pumped()
	want := randomBytes(20 << 20)
	for _, way := range [][2]*net.TCPConn{{p.near, p.far}, {p.far, p.near}} {
		go func() {
			way[0].Write(want)
			way[0].CloseWrite()
		}()
		got, err := io.ReadAll(way[1])
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("read %d bytes, %v, want the %d written", len(got), err, len(want))
		}
	}
	p.wantEndings(t, Finished, Finished)
}

// TestPumpedBytesArriveThatLeftEarly has the programs' bytes begin in 0-RTT
// packets, which the server takes or not.
func TestPumpedBytesArriveThatLeftEarly(t *testing.T) {
	for _, rejected := range []bool{false, true} {
		w := onLoopback(t, Options{})
		w.resumable(Options{})
		if rejected {
			w.refuseEarly()
		}
		target, want := w.target(), randomBytes(5<<20)
		target.Optimistic, target.EarlyData = true, true
		ns, err := w.dialer.Dial(background, target)
		if err != nil {
			t.Fatal(err)
		}
		near, nearLeg := tcpPair(t)
		done := make(chan Result, 1)
		go near.Write(want)
		go func() { done <- Pump(nearLeg, ns) }()
		fs := <-w.accepted
		got := make([]byte, len(want))
		if _, err := io.ReadFull(fs, got); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("rejected %v: %v, or other bytes than were written", rejected, err)
		}
		if ns.Conn().ConnectionState().Used0RTT == rejected {
			t.Errorf("early data was taken: %v, want %v", rejected, !rejected)
		}
		go near.Write(want) // and goes on
		if _, err := io.ReadFull(fs, got); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("rejected %v: later: %v, or other bytes than were written", rejected, err)
		}
		near.CloseWrite()
		if _, err := fs.Read(got); err != io.EOF {
			t.Errorf("rejected %v: read after FIN: %v", rejected, err)
		}
		fs.Close()
		if r := <-done; r.Ending != Finished || r.Sent != 2*uint64(len(want)) {
			t.Errorf("rejected %v: %v (%v), %d bytes sent", rejected, r.Ending, r.Err, r.Sent)
		}
	}
}

func TestHalfCloseLastsAsLongAsItLikes(t *testing.T) {
	p := onLoopback(t, Options{}).pumped()
	p.near.Write([]byte("question"))
	p.near.CloseWrite()
	if got, err := io.ReadAll(p.far); string(got) != "question" || err != nil {
		t.Fatalf("read %q, %v", got, err)
	}
	for range 10 { // the other direction goes on
		p.far.Write([]byte("x"))
		if _, err := io.ReadFull(p.near, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
	p.far.Close()
	if _, err := p.near.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("read after FIN: %v, want EOF", err)
	}
	p.near.Close()
	p.wantEndings(t, Finished, Finished)
}

func TestResetCrosses(t *testing.T) {
	p := onLoopback(t, Options{}).pumped()
	p.near.Write([]byte("x"))
	io.ReadFull(p.far, make([]byte, 1))
	p.near.SetLinger(0)
	p.near.Close()
	if _, err := p.far.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("read after the other program's RST: %v, want ECONNRESET", err)
	}
	p.wantEndings(t, ResetByLeg, ResetByPeer)
}

func TestBytesBeforeAResetArrive(t *testing.T) {
	for _, size := range []int{1, 100_000} {
		p := onLoopback(t, Options{}).pumped()
		sent := randomBytes(size)
		p.near.Write(sent)
		p.near.SetLinger(0)
		p.near.Close()
		got, err := io.ReadAll(p.far)
		if !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%d bytes, then RST: read ends with %v, want ECONNRESET", size, err)
		}
		// Plain TCP takes back what it has not sent, and so may we.
		if !bytes.HasPrefix(sent, got) || len(got) == 0 {
			t.Errorf("%d bytes, then RST: %d arrived", size, len(got))
		}
		p.wantEndings(t, ResetByLeg, ResetByPeer)
	}
}

func TestCloseWithUnreadDataIsAReset(t *testing.T) {
	p := onLoopback(t, Options{}).pumped()
	p.far.Write([]byte("nobody reads this"))
	wait(t, "bytes to arrive", func() bool { return p.near.SetReadDeadline(time.Time{}) == nil && hasBytes(p.near) })
	p.near.Close()
	if _, err := p.far.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("read after the other program closed with unread data: %v, want ECONNRESET", err)
	}
	p.wantEndings(t, ResetByLeg, ResetByPeer)
}

func TestWritesToAProgramThatIsGoneAreReset(t *testing.T) {
	p := onLoopback(t, Options{}).pumped()
	p.near.Close() // FIN
	if _, err := p.far.Read(make([]byte, 1)); err != io.EOF {
		t.Fatalf("read: %v, want EOF", err)
	}
	p.far.SetWriteDeadline(time.Now().Add(10 * time.Second))
	var err error
	for err == nil {
		_, err = p.far.Write([]byte("anybody there?"))
	}
	if !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("write to a program that is gone: %v, want EPIPE", err)
	}
	p.wantEndings(t, ResetByLeg, ResetByPeer)
}

func TestSimultaneousCloseFinishes(t *testing.T) {
	p := onLoopback(t, Options{}).pumped()
	go p.near.Close()
	p.far.Close()
	p.wantEndings(t, Finished, Finished)
}

func TestLostConnectionResetsBothPrograms(t *testing.T) {
	w := onLoopback(t, Options{})
	p := w.pumped()
	for _, l := range w.dialer.links.list() {
		l.conn.CloseWithError(7, "")
	}
	for _, c := range []*net.TCPConn{p.near, p.far} {
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("read after the connection was lost: %v, want ECONNRESET", err)
		}
	}
	p.wantEndings(t, PeerLost, PeerLost)
}

func TestResetAfterHalfCloseCrosses(t *testing.T) {
	p := onLoopback(t, Options{}).pumped()
	p.near.CloseWrite()
	if _, err := p.far.Read(make([]byte, 1)); err != io.EOF {
		t.Fatalf("read: %v, want EOF", err)
	}
	p.near.SetLinger(0)
	p.near.Close()
	p.wantEndings(t, ResetByLeg, ResetByPeer)
}

// heardLeg is a leg whose reset is heard by writing, before anything is read.
type heardLeg struct {
	Leg
	heard chan struct{}
}

func (l heardLeg) Write(p []byte) (int, error) {
	close(l.heard)
	return 0, syscall.ECONNRESET
}

func (l heardLeg) Read(p []byte) (int, error) {
	<-l.heard
	n, err := l.Leg.Read(p)
	if errors.Is(err, syscall.ECONNRESET) {
		err = io.EOF // the kernel tells it once
	}
	return n, err
}

func TestBytesBeforeAResetArriveThoughItIsHeardByWriting(t *testing.T) {
	w := onLoopback(t, Options{})
	ns, fs := w.pair()
	near, nearLeg := memPair()
	near.Write([]byte("abc"))
	near.SetLinger(0)
	near.Close()
	done := make(chan Result, 1)
	go func() { done <- Pump(heardLeg{nearLeg, make(chan struct{})}, ns) }()
	fs.Write([]byte("x"))
	got, err := io.ReadAll(fs)
	if _, reset := stopped(err); string(got) != "abc" || !reset {
		t.Errorf("the peer reads %q, %v, want abc and a reset", got, err)
	}
	fs.Close()
	if r := <-done; r.Ending != ResetByLeg || !errors.Is(r.Err, syscall.ECONNRESET) || r.Sent != 3 {
		t.Errorf("the pump ended with %v, %v, and sent %d bytes", r.Ending, r.Err, r.Sent)
	}
}

// fill writes until nothing moves any more.
func fill(t *testing.T, c *net.TCPConn) {
	t.Helper()
	c.SetWriteDeadline(time.Now().Add(time.Second / 2))
	if _, err := c.Write(make([]byte, 64<<20)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("write to who does not read: %v, want the deadline", err)
	}
}

func TestResetCrossesWhenTheOtherProgramDoesNotRead(t *testing.T) {
	p := onLoopback(t, Options{}).pumped()
	fill(t, p.near)
	p.near.SetLinger(0)
	p.near.Close()
	p.wantEndings(t, ResetByLeg, ResetByPeer)
}

func TestResetCrossesWhenThisProgramDoesNotRead(t *testing.T) {
	p := onLoopback(t, Options{}).pumped()
	fill(t, p.far)
	p.far.SetLinger(0)
	p.far.Close()
	p.wantEndings(t, ResetByPeer, ResetByLeg)
	if _, err := io.Copy(io.Discard, p.near); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("read: %v, want ECONNRESET", err)
	}
}

func TestLostConnectionResetsAHalfClosedProgram(t *testing.T) {
	w := onLoopback(t, Options{})
	p := w.pumped()
	p.far.CloseWrite()
	if _, err := p.near.Read(make([]byte, 1)); err != io.EOF {
		t.Fatalf("read: %v, want EOF", err)
	}
	for _, l := range w.dialer.links.list() {
		l.conn.CloseWithError(7, "")
	}
	p.wantEndings(t, PeerLost, PeerLost)
}

// TestWhatArrivedIsDeliveredWhenThePeerIsGone closes the connection in peace
// while this program has not read yet.
func TestWhatArrivedIsDeliveredWhenThePeerIsGone(t *testing.T) {
	w := onLoopback(t, Options{})
	p := w.pumped()
	want := randomBytes(200 << 10)
	p.nearLeg.SetWriteBuffer(8 << 10)
	p.far.Write(want)
	p.far.Close()
	p.near.CloseWrite()
	w.srv.Close(background)
	got, err := io.ReadAll(p.near)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("read %d bytes, %v, want the %d written", len(got), err, len(want))
	}
	p.wantEndings(t, Finished, Finished)
}

// wait polls for what has no event, at most ten seconds.
func wait(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("still waiting for %s", what)
		}
	}
}

// hasBytes reports whether a Read would not wait.
func hasBytes(c *net.TCPConn) (ready bool) {
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	raw.Read(func(fd uintptr) bool {
		n, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		ready = err == nil && n >= 0
		return true
	})
	return ready
}
