package quictest

import (
	"bytes"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"
)

// answer is n bytes that depend on n.
func answer(request []byte) []byte {
	n := atoi(request)
	r := rand.New(rand.NewPCG(uint64(n), 1))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func atoi(request []byte) int {
	n, _ := strconv.Atoi(string(request))
	return n
}

func serve(p *Pair) {
	p.Server.OnConn = func(c *Peer) { c.Serve(answer) }
}

func TestHandshakeCompletesAndConfirms(t *testing.T) {
	p := NewPair(t, Seed(t, 1), Options{})
	serve(p)
	c := p.Dial()
	if !p.Run(5*time.Second, func() bool { return c.Confirmed }) {
		t.Fatalf("not confirmed; established %v, error %v", c.Established, c.Err())
	}
	if got := p.Clock.Since(); got > 100*time.Millisecond {
		t.Errorf("confirmed after %v, want about two round trips of 30 ms", got)
	}
}

func TestTransferDeliversEveryByte(t *testing.T) {
	p := NewPair(t, Seed(t, 2), Options{})
	serve(p)
	c := p.Dial()
	p.Run(5*time.Second, func() bool { return c.Confirmed })
	f := c.Get([]byte("3000000"))
	if !p.Run(30*time.Second, func() bool { return f.Done }) {
		t.Fatalf("got %d bytes, error %v", f.Body.Len(), c.Err())
	}
	if want := answer([]byte("3000000")); !bytes.Equal(f.Body.Bytes(), want) {
		t.Fatalf("got %d bytes that differ from the %d sent", f.Body.Len(), len(want))
	}
}
