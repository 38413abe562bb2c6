package quictest

import (
	"os"
	"strconv"
	"testing"
	"testing/cryptotest"
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/virtual"
	"github.com/seed51309289/quiver/netsim"
)

// What a Pair consists of is that of package virtual, which needs no test.
type (
	Options  = virtual.Options
	Endpoint = virtual.Endpoint
	Peer     = virtual.Peer
	Fetch    = virtual.Fetch
)

// Pair is a virtual.Pair that ends the test when it breaks off, and whose
// handshakes a seed replays to the byte.
type Pair struct {
	*virtual.Pair
	t testing.TB
}

// Seed returns the seed of a test: SIM_SEED if that is set, else fallback. It
// is printed, so that a failure can be had again.
func Seed(t testing.TB, fallback uint64) uint64 {
	t.Helper()
	if s := os.Getenv("SIM_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 0, 64)
		if err != nil {
			t.Fatalf("SIM_SEED=%q: want a number", s)
		}
		fallback = n
	}
	t.Logf("SIM_SEED=%d", fallback)
	return fallback
}

// NewPair makes both endpoints; nothing is sent yet.
func NewPair(t *testing.T, seed uint64, opts Options) *Pair {
	t.Helper()
	cryptotest.SetGlobalRandom(t, seed)
	var epoch netsim.Clock
	opts.ClientTLS, opts.ServerTLS = TLSConfigs(epoch.Now(), "test")
	return &Pair{virtual.NewPair(seed, opts), t}
}

// Dial starts a connection from the client.
func (p *Pair) Dial() *Peer {
	p.t.Helper()
	c, err := p.Pair.Dial()
	if err != nil {
		p.t.Fatalf("dial: %v", err)
	}
	return c
}

// Run moves time on until done reports true, or limit has passed, or nothing
// will ever happen again. It reports whether done did.
func (p *Pair) Run(limit time.Duration, done func() bool) bool {
	p.t.Helper()
	ok := p.Pair.Run(limit, done)
	if err := p.Err(); err != nil {
		p.t.Fatal(err)
	}
	return ok
}

// congestion returns what core.Config.Congestion wants for a built-in controller.
func congestion(name string) func(mss int) hook.Congestion {
	f, err := virtual.Congestion(name)
	must(err)
	return f
}
