package core

// spinOneIn is how many paths have one whose spin bit tells nothing, so that
// those who turn it off do not stand out (RFC 9000 §17.4: at least one in 16).
const spinOneIn = 16

// spin is the latency spin bit of one path (RFC 9000 §17.4): a server reflects
// it and a client inverts it, which makes it flip once a round trip.
type spin struct {
	bit bool // of the next packet
	off bool // bit is a constant, picked at random
}

// newSpin decides whether a path spins.
func (c *Conn) newSpin() spin {
	var r [1]byte
	if c.random(r[:]) != nil {
		return spin{off: true}
	}
	if c.cfg.NoSpin || r[0]%spinOneIn == 0 {
		return spin{off: true, bit: r[0]&0x80 != 0}
	}
	return spin{}
}

// received notes the bit of the newest packet of the peer.
func (s *spin) received(bit, client bool) {
	if !s.off {
		s.bit = bit != client
	}
}

// restart is due when a path changes its connection ID.
func (s *spin) restart() {
	if !s.off {
		s.bit = false
	}
}
