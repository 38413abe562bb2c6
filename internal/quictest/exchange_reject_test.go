package quictest

import (
	"testing"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/core"
)

// TestDetachInRejectedEarlyDataIsForgotten detaches all that was taken up again
// before the server rejects 0-RTT: numbers begin anew, and a server that heard of
// none must not hear that one of them is over.
func TestDetachInRejectedEarlyDataIsForgotten(t *testing.T) {
	r := newResuming(t, 1, Options{}, nil, []sample{fec})
	r.refuses[1] = true
	r.server.offers, r.server.runs, r.client.runs = []sample{fec}, true, true
	r.dial(t)
	if err := r.client.DetachPlugin(r.Clock.Now(), r.clientSet[0].Local, hook.DetachAsked, "enough"); err != nil {
		t.Fatal(err)
	}
	r.client.Flush()
	runUntil(t, r.Pair, "the handshake", func() bool { return r.client.Confirmed && r.server.Confirmed })
	if r.client.Early() != core.EarlyRejected {
		t.Fatalf("0-RTT is %v, want rejected", r.client.Early())
	}
	runUntil(t, r.Pair, "the plugin again", func() bool { return r.client.hasActive(fec.name) && r.server.hasActive(fec.name) })
}
