package fabric

import (
	"net/netip"
	"time"
)

// A Held is a connection that the program wants: its connect waits until one of the methods Connect, Refuse and Native is called, once.
type Held struct {
	App  netip.AddrPort // the program's end
	Dest netip.AddrPort // what it connects to
	Mark uint32         // MarkProto, or 0

	fabric *Fabric
	syn    syn
	gone   chan struct{}
	heard  time.Time // when the program's SYN came last; the lock of pending guards it
}

func newHeld(f *Fabric, s *syn, mark uint32) *Held {
	return &Held{App: s.app, Dest: s.dest, Mark: mark, fabric: f, syn: *s, gone: make(chan struct{})}
}

func (h *Held) flow() flow { return flow{h.App, h.Dest} }

// Gone returns a channel that is closed when the program does not want the connection any more, as far as that is known, and h still waits
// for its answer.
func (h *Held) Gone() <-chan struct{} { return h.gone }
