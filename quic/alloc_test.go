package quic_test

import (
	"io"
	"testing"

	"github.com/seed51309289/quiver/quic"
)

func TestSteadyTransferDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes sync.Pool forget")
	}
	c, s := loopbackPair(t, nil)
	cs, _ := c.OpenStream()
	const size = 16 << 10
	out, in := make([]byte, size), make([]byte, size)
	cs.Write(out)
	ss, err := s.AcceptStream(background)
	if err != nil {
		t.Fatal(err)
	}
	io.ReadFull(ss, in)
	round := func() {
		if _, err := cs.Write(out); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(ss, in); err != nil {
			t.Fatal(err)
		}
	}
	for range 1000 { // windows, path MTU and buffers find their size
		round()
	}
	if allocs := testing.AllocsPerRun(2000, round); allocs != 0 {
		t.Errorf("Write and Read of 16 KiB allocate %v times, want 0", allocs)
	}
}

func TestRequestAllocatesLittle(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes sync.Pool forget")
	}
	const most = 4 // a Stream and its core's on each side
	c, s := loopbackPair(t, nil)
	buf := make([]byte, 1024)
	request := func() {
		cs, err := c.OpenStreamSync(background)
		if err != nil {
			t.Fatal(err)
		}
		cs.Write(buf)
		cs.CloseWrite()
		ss, err := s.AcceptStream(background)
		if err != nil {
			t.Fatal(err)
		}
		for _, st := range []*quic.Stream{ss, cs} {
			if n, err := io.ReadFull(st, buf); n != len(buf) || err != nil {
				t.Fatal(n, err)
			}
			if _, err := st.Read(buf[:1]); err != io.EOF {
				t.Fatal(err)
			}
			if st == ss {
				ss.Write(buf)
				ss.CloseWrite()
			}
		}
	}
	for range 500 {
		request()
	}
	if allocs := testing.AllocsPerRun(1000, request); allocs > most {
		t.Errorf("a request allocates %v times, want at most %d", allocs, most)
	}
}
