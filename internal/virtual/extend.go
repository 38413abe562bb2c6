package virtual

import (
	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/internal/wire"
)

// Extend attaches x to the connection at once. Both ends of a Pair agree on the
// types of its frames by its ID, without a word on the wire: an extension that
// talks to its other half is to be attached to both ends before either sends,
// which OnConn is the place for.
func (p *Peer) Extend(x hook.Extension, config []byte) error {
	n := p.End.pair.number(x.Info().ID)
	return p.Attach(p.Now(), x, core.AttachOptions{
		Local:    2 * n, // as if the client had offered it
		TypeBase: uint64(wire.FramePlugin) + n*hook.MaxFrames,
		Config:   config,
	})
}

// number returns a number for the extension of that ID, the same at both ends.
func (p *Pair) number(id string) uint64 {
	n, ok := p.numbers[id]
	if !ok {
		n = uint64(len(p.numbers))
		if p.numbers == nil {
			p.numbers = map[string]uint64{}
		}
		p.numbers[id] = n
	}
	return n
}
