package sockets

import (
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// tcpPair makes both ends of a connection.
func tcpPair(t *testing.T) (a, b *net.TCPConn) {
	t.Helper()
	l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if a, err = net.DialTCP("tcp4", nil, l.Addr().(*net.TCPAddr)); err != nil {
		t.Fatal(err)
	}
	if b, err = l.AcceptTCP(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		a.Close()
		b.Close()
	})
	return a, b
}

// relayed makes two ends with a relay between them.
func relayed(t *testing.T) (a, b *net.TCPConn) {
	t.Helper()
	a, near := tcpPair(t)
	b, far := tcpPair(t)
	over := make(chan struct{})
	go func() {
		defer close(over)
		relay(near, far)
	}()
	t.Cleanup(func() {
		reset(a)
		reset(b)
		<-over
	})
	return a, b
}

func TestUrgentDataIsNoEndForARelay(t *testing.T) {
	a, b := relayed(t)
	a.Write([]byte("abc"))
	raw, err := a.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) { unix.Sendto(int(fd), []byte("!"), unix.MSG_OOB, nil) })
	a.Write([]byte("de"))
	a.CloseWrite()
	if got, err := io.ReadAll(b); string(got) != "abc!de" || err != nil {
		t.Errorf("read %q, %v, want abc!de", got, err)
	}
}

func TestARelayedResetIsNotAnEnd(t *testing.T) {
	for range 20 {
		a, b := relayed(t)
		a.Write([]byte("x"))
		io.ReadFull(b, make([]byte, 1))
		reset(b)
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Fatalf("read after the other end's RST: %v, want ECONNRESET", err)
		}
	}
}

func TestAResetAfterTheEndOfItsDirectionIsRelayed(t *testing.T) {
	for range 20 {
		a, b := relayed(t)
		b.Close()
		if _, err := a.Read(make([]byte, 1)); err != io.EOF {
			t.Fatalf("read: %v, want EOF", err)
		}
		a.Write([]byte("x")) // which nobody reads any more
		a.SetReadDeadline(time.Now().Add(10 * time.Second))
		if !awaitReset(a) {
			t.Fatal("the answer to a write after close did not come")
		}
	}
}

// TestBytesBeforeAResetAreRelayedThoughItIsHeardByWriting has the other end write all the time, as who sends a long request to a server that
// has answered already.
func TestBytesBeforeAResetAreRelayedThoughItIsHeardByWriting(t *testing.T) {
	for range 50 {
		a, b := relayed(t)
		go func() {
			for buf := make([]byte, 64<<10); ; {
				if _, err := b.Write(buf); err != nil {
					return
				}
			}
		}()
		io.ReadFull(a, make([]byte, 1))
		a.Write([]byte("abc"))
		reset(a)
		b.SetReadDeadline(time.Now().Add(10 * time.Second))
		got := make([]byte, 3)
		if n, err := io.ReadFull(b, got); string(got[:n]) != "abc" {
			t.Fatalf("read %q, %v, want abc", got[:n], err)
		}
	}
}
