package core

import "encoding/binary"

// fixedBits are random bits for the first bytes of packets (RFC 9287 §3.1).
type fixedBits struct {
	bits uint64
	left int
	buf  [8]byte
}

// clearsFixedBit reports whether the fixed bit of the next packet is to be 0,
// which chance decides once the peer announced that it does not care.
// RFC 9287 §3.1: what a peer announced on an earlier connection does not count.
func (c *Conn) clearsFixedBit() bool {
	if !c.peer.GreaseQUICBit || c.cfg.NoGrease {
		return false
	}
	f := &c.fixed
	if f.left == 0 {
		if c.random(f.buf[:]) != nil {
			return false
		}
		f.bits, f.left = binary.LittleEndian.Uint64(f.buf[:]), 64
	}
	clears := f.bits&1 == 1
	f.bits, f.left = f.bits>>1, f.left-1
	return clears
}

// takesFixedBit reports whether a packet with the first byte b0 can be one of
// ours. RFC 9287 §3: we take 0 if we announced that; else it is a packet of no
// version that we know (RFC 9000 §17.2, §17.3.1).
func (c *Conn) takesFixedBit(b0 byte) bool { return b0&fixedBit != 0 || !c.cfg.NoGrease }
