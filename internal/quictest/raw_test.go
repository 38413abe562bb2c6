package quictest

import (
	"errors"
	"testing"

	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/internal/wire"
)

// testSides runs body against a server's connection and a client's. The
// RawPeer is the other side, connected.
func testSides(t *testing.T, opts RawOptions, body func(t *testing.T, r *RawPeer)) {
	t.Run("server", func(t *testing.T) { body(t, NewRawClient(t, opts).Connect()) })
	t.Run("client", func(t *testing.T) { body(t, NewRawServer(t, opts).Connect()) })
}

func TestRawPeerCompletesAHandshake(t *testing.T) {
	testSides(t, RawOptions{}, func(t *testing.T, r *RawPeer) {
		r.Send(App, frame(wire.FramePing))
		r.Send(App, frame(wire.FramePing))
		r.WantFrame("every second packet is acknowledged", wire.FrameAck)
	})
}

func asLocal(err error, target **core.LocalError) bool { return errors.As(err, target) }
