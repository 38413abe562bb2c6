package udp

import (
	"encoding/binary"
	"math/bits"
)

const (
	// steeredID is the length of the connection IDs that Steering reads, in bytes.
	steeredID = 8
	// sipLength is the length of what is hashed, all of the ID but its last byte, where HalfSipHash wants it.
	sipLength = (steeredID - 1) << 24
)

// Steering says in connection IDs to which of several sockets that share an address their packets go. Only who has
// the key can tell (RFC 9000 §5.1: nothing in an ID lets observers see that it belongs with another one). It does
// not change after NewSteering.
type Steering struct {
	key     [2]uint32
	sockets uint32
}

// NewSteering leads to 1 to 256 sockets.
func NewSteering(key [8]byte, sockets int) *Steering {
	if sockets < 1 || sockets > 256 {
		panic("BUG: udp: steering among no sockets, or too many for one byte")
	}
	return &Steering{[2]uint32{binary.LittleEndian.Uint32(key[:]), binary.LittleEndian.Uint32(key[4:])}, uint32(sockets)}
}

// Shape changes the last byte of a random ID so that it leads to a socket, by its number in the order in which the
// sockets were bound. The hash of the other bytes masks it, so that it is as random as before.
func (s *Steering) Shape(id []byte, socket int) {
	if len(id) != steeredID || socket < 0 || socket >= int(s.sockets) {
		return
	}
	n, plain := s.sockets, s.plain(id)
	shaped := plain - plain%n + uint32(socket)
	if shaped > 0xff {
		shaped -= n
	}
	id[steeredID-1] += byte(shaped - plain)
}

// Socket returns the number of the socket that an ID of 8 bytes leads to.
func (s *Steering) Socket(id []byte) int { return int(s.plain(id) % s.sockets) }

// plain is the last byte without its mask.
func (s *Steering) plain(id []byte) uint32 {
	mask := halfSipHash(s.key, binary.BigEndian.Uint32(id), binary.BigEndian.Uint32(id[4:])>>8)
	return (mask + uint32(id[steeredID-1])) & 0xff
}

// halfSipHash is HalfSipHash-1-3 of 7 bytes, given as a word and the 24 bits of another. It is made for tables, as
// in Linux: to break it costs far more than it is worth to know a socket's number, and it is short enough for a
// kernel's program to compute with every datagram.
func halfSipHash(key [2]uint32, word, tail uint32) uint32 {
	v0, v1, v2, v3 := key[0], key[1], key[0]^sipInit2, key[1]^sipInit3
	round := func() {
		v0 += v1
		v1 = bits.RotateLeft32(v1, 5) ^ v0
		v0 = bits.RotateLeft32(v0, 16)
		v2 += v3
		v3 = bits.RotateLeft32(v3, 8) ^ v2
		v0 += v3
		v3 = bits.RotateLeft32(v3, 7) ^ v0
		v2 += v1
		v1 = bits.RotateLeft32(v1, 13) ^ v2
		v2 = bits.RotateLeft32(v2, 16)
	}
	for _, m := range []uint32{word, sipLength | tail} {
		v3 ^= m
		round()
		v0 ^= m
	}
	v2 ^= 0xff
	round()
	round()
	round()
	return v1 ^ v3
}

// What HalfSipHash starts from, beside the key.
const sipInit2, sipInit3 = 0x6c796765, 0x74656462
