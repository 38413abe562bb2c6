package quic_test

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/net/nettest"

	"github.com/seed51309289/quiver/quic"
)

// streamPair makes two ends of a stream over loopback.
func streamPair() (c1, c2 net.Conn, stop func(), err error) {
	client, server := configs()
	l, err := quic.ListenAddr("127.0.0.1:0", server, nil)
	if err != nil {
		return nil, nil, nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := quic.DialAddr(ctx, l.Addr().String(), client, nil)
	if err != nil {
		l.Close()
		return nil, nil, nil, err
	}
	n := quic.NetListener(l)
	stop = func() {
		c.CloseWithError(0, "")
		n.Close()
	}
	s, err := c.OpenStreamSync(ctx)
	if err != nil {
		return nil, nil, stop, err
	}
	s.Write([]byte{0}) // the peer learns of a stream with its first bytes
	peer, err := n.Accept()
	if err != nil {
		return nil, nil, stop, err
	}
	if _, err := io.ReadFull(peer, make([]byte, 1)); err != nil {
		return nil, nil, stop, err
	}
	return s, peer, stop, nil
}

func TestStreamIsANetConn(t *testing.T) {
	nettest.TestConn(t, streamPair)
}

func TestNetListenerEndsWithItsListener(t *testing.T) {
	_, server := configs()
	l, err := quic.ListenAddr("127.0.0.1:0", server, nil)
	if err != nil {
		t.Fatal(err)
	}
	n := quic.NetListener(l)
	time.AfterFunc(10*time.Millisecond, func() { n.Close() })
	if _, err := n.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Fatalf("Accept of a closed listener: got %v, want net.ErrClosed", err)
	}
	if _, err := n.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Fatalf("Accept after Close: got %v, want net.ErrClosed", err)
	}
}

func TestNetListenerClosesStreamsThatNobodyAccepted(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		n := quic.NetListener(w.listen(nil))
		c := w.dial(nil)
		open := func() *quic.Stream {
			s, err := c.OpenStream()
			if err != nil {
				t.Fatal(err)
			}
			s.Write([]byte("x"))
			return s
		}
		first := open()
		accepted, err := n.Accept()
		if err != nil {
			t.Fatal(err)
		}
		second := open()
		time.Sleep(time.Second)
		n.Close()
		if _, err := second.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("stream that waited: got %v, want its end", err)
		}
		accepted.Write([]byte("still here"))
		accepted.Close()
		if got, err := io.ReadAll(first); string(got) != "still here" || err != nil {
			t.Errorf("accepted stream: got %q, error %v", got, err)
		}
	})
}
