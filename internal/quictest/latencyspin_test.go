package quictest

import (
	"math/rand/v2"
	"testing"

	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/internal/wire"
)

// spins sends packets with both values of the spin bit and reports whether the
// connection under test answers as its role asks for, or always the same.
func (r *RawPeer) spins() (follows, rests bool) {
	r.t.Helper()
	follows, rests = true, true
	first := false
	for i := range 6 {
		bit := i&1 == 0
		flip := byte(0)
		if bit {
			flip = wire.ShortSpinBit
		}
		r.SendDatagram(r.PacketBits(App, r.NextNumber(App), flip, challenge(byte(i))))
		p, _ := r.WantFrame("an answer", wire.FramePathResponse)
		if i == 0 {
			first = p.Spin
		}
		rests = rests && p.Spin == first
		follows = follows && p.Spin == (bit == r.client)
	}
	return follows, rests
}

// spinning counts the connections of a side that do not spin.
func spinning(t *testing.T, side func(testing.TB, RawOptions) *RawPeer, off bool) (resting, all int) {
	t.Helper()
	const connections = 100
	for i := range connections {
		r := side(t, RawOptions{Config: func(cfg *core.Config) {
			cfg.Rand, cfg.NoSpin = rand.NewChaCha8([32]byte{byte(i)}), off
		}}).Connect()
		r.AutoAck = false
		switch follows, rests := r.spins(); {
		case rests:
			resting++
		case !follows:
			t.Fatal("RFC 9000 §17.4: the spin bit neither follows the peer's nor rests")
		}
	}
	return resting, connections
}

func TestSpinBitRestsOnOneConnectionInSixteen(t *testing.T) {
	for name, side := range map[string]func(testing.TB, RawOptions) *RawPeer{"server": NewRawClient, "client": NewRawServer} {
		t.Run(name, func(t *testing.T) {
			if n, all := spinning(t, side, false); n < all/40 || n > all/6 {
				t.Errorf("RFC 9000 §17.4: %d of %d connections do not spin, want about one in 16", n, all)
			}
		})
	}
}

func TestSpinBitCanBeTurnedOff(t *testing.T) {
	if n, all := spinning(t, NewRawClient, true); n != all {
		t.Errorf("%d of %d connections do not spin, want all", n, all)
	}
}
