package udp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// memConn is one end of an in-memory link with a delay, as tests in a synctest bubble use it.
type memConn struct {
	local, remote net.Addr
	out           chan<- parcel
	in            <-chan parcel
	fault         error // of the next ReadFrom and every WriteTo
	deadline      context.Context
	closed        chan struct{}
	once          sync.Once
}

type parcel struct {
	data []byte
	due  time.Time
}

func memPair(left, right net.Addr) (*memConn, *memConn) {
	lr, rl := make(chan parcel, 100), make(chan parcel, 100)
	never := context.Background()
	return &memConn{local: left, remote: right, out: lr, in: rl, deadline: never, closed: make(chan struct{})},
		&memConn{local: right, remote: left, out: rl, in: lr, deadline: never, closed: make(chan struct{})}
}

func (c *memConn) ReadFrom(b []byte) (int, net.Addr, error) {
	if err := c.fault; err != nil {
		c.fault = nil
		return 0, nil, err
	}
	select {
	case p := <-c.in:
		time.Sleep(time.Until(p.due))
		return copy(b, p.data), c.remote, nil
	case <-c.deadline.Done():
		return 0, nil, os.ErrDeadlineExceeded
	case <-c.closed:
		return 0, nil, net.ErrClosed
	}
}

func (c *memConn) WriteTo(b []byte, addr net.Addr) (int, error) {
	if c.fault != nil {
		return 0, c.fault
	}
	c.out <- parcel{slices.Clone(b), time.Now().Add(30 * time.Millisecond)}
	return len(b), nil
}

func (c *memConn) Close() error                       { c.once.Do(func() { close(c.closed) }); return nil }
func (c *memConn) LocalAddr() net.Addr                { return c.local }
func (c *memConn) SetWriteDeadline(t time.Time) error { return nil }
func (c *memConn) SetDeadline(t time.Time) error      { return c.SetReadDeadline(t) }
func (c *memConn) SetReadDeadline(t time.Time) error {
	ctx, cancel := context.WithDeadline(context.Background(), t)
	context.AfterFunc(ctx, cancel)
	c.deadline = ctx
	return nil
}

// namedAddr is an address that only prints.
type namedAddr string

func (namedAddr) Network() string  { return "mem" }
func (a namedAddr) String() string { return string(a) }

func TestWrapCarriesTrainsOverAnInMemoryConn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		leftAddr, rightAddr := netip.MustParseAddrPort("10.0.0.1:1000"), netip.MustParseAddrPort("10.0.0.2:2000")
		l, r := memPair(net.UDPAddrFromAddrPort(leftAddr), namedAddr(rightAddr.String()))
		left, right := Wrap(l), Wrap(r)
		defer left.Close()
		defer right.Close()
		start := time.Now()
		mustWrite(t, left, numbered(250), 100, rightAddr)
		for i, want := range []int{100, 100, 50} {
			trains := make([]Train, 3)
			n, err := right.Read(trains)
			if n != 1 || err != nil {
				t.Fatalf("Read = %d, %v, want 1 train", n, err)
			}
			got := trains[0]
			if len(got.Buf) != want || got.Len() != 1 || got.Remote != leftAddr || got.Local != rightAddr.Addr() {
				t.Errorf("train %d: %d bytes from %v to %v, want %d from %v to %v",
					i, len(got.Buf), got.Remote, got.Local, want, leftAddr, rightAddr.Addr())
			}
			if waited := got.At.Sub(start); waited != 30*time.Millisecond {
				t.Errorf("train %d arrived after %v, want 30ms", i, waited)
			}
		}
		mustWrite(t, right, []byte("back"), 0, leftAddr)
		if got := readDatagrams(t, left, 1, rightAddr); string(got[0]) != "back" {
			t.Errorf("read %q, want back", got[0])
		}
		if left.LocalAddr() != leftAddr || right.LocalAddr() != rightAddr || left.MaxSegments() != 1 {
			t.Errorf("local addresses %v, %v; MaxSegments %d", left.LocalAddr(), right.LocalAddr(), left.MaxSegments())
		}
	})
}

func TestWrapSkipsPeersWithoutAnAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, r := memPair(namedAddr("somebody"), namedAddr("10.0.0.2:2000"))
		left, right := Wrap(l), Wrap(r)
		defer right.Close()
		if left.LocalAddr().IsValid() {
			t.Errorf("LocalAddr() = %v, want none", left.LocalAddr())
		}
		mustWrite(t, left, []byte("who am I"), 0, right.LocalAddr())
		if err := right.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		if n, err := right.Read(make([]Train, 1)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Read = %d, %v, want os.ErrDeadlineExceeded", n, err)
		}
	})
}

func TestWrapClassifiesErrors(t *testing.T) {
	other := errors.New("cable cut")
	tests := []struct {
		fault, class error
		readGoesOn   bool
	}{
		{&net.OpError{Op: "x", Err: os.NewSyscallError("y", syscall.ECONNREFUSED)}, ErrTransient, true},
		{syscall.EMSGSIZE, ErrTooBig, true},
		{other, other, false},
		{net.ErrClosed, net.ErrClosed, false},
	}
	for _, tc := range tests {
		t.Run(fmt.Sprint(tc.fault), func(t *testing.T) {
			l, r := memPair(namedAddr("10.0.0.1:1000"), namedAddr("10.0.0.2:2000"))
			l.fault = tc.fault
			r.out <- parcel{data: []byte("next")}
			left := Wrap(l)
			err := left.Write([]byte("x"), 0, netip.MustParseAddrPort("10.0.0.2:2000"), netip.Addr{}, 0)
			if !errors.Is(err, tc.class) || !errors.Is(err, tc.fault) {
				t.Errorf("Write: %v, want it to be %v and %v", err, tc.class, tc.fault)
			}
			n, err := left.Read(make([]Train, 1))
			if goesOn := n == 1 && err == nil; goesOn != tc.readGoesOn || (!goesOn && !errors.Is(err, tc.fault)) {
				t.Errorf("Read = %d, %v; want it to go on: %t", n, err, tc.readGoesOn)
			}
		})
	}
}
