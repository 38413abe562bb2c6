package plugin

import "bytes"

const pageSize = 4096

var zeroPage [pageSize]byte

// snapshot is what memory and globals held when an instance was ready for its first connection.
type snapshot struct {
	size    int    // bytes of memory
	pages   []page // those that are not all zero, in order
	globals []uint64
}

type page struct {
	at   int
	data []byte
}

func takeSnapshot(g guest) *snapshot {
	mem := g.memory().buf
	s := &snapshot{size: len(mem)}
	for at := 0; at < len(mem); at += pageSize {
		if p := mem[at : at+pageSize]; !bytes.Equal(p, zeroPage[:]) {
			s.pages = append(s.pages, page{at, bytes.Clone(p)})
		}
	}
	for n := range g.globals() {
		s.globals = append(s.globals, g.global(n))
	}
	return s
}

// restore makes g as it was. It writes to no page that is as it was already: pages that nobody touched stay without memory behind them.
func (s *snapshot) restore(g guest) {
	mem := g.memory().buf
	next := 0
	for at := 0; at < len(mem); at += pageSize {
		want := zeroPage[:]
		if next < len(s.pages) && s.pages[next].at == at {
			want = s.pages[next].data
			next++
		}
		if have := mem[at : at+pageSize]; !bytes.Equal(have, want) {
			copy(have, want)
		}
	}
	for n, v := range s.globals {
		g.setGlobal(n, v)
	}
}
