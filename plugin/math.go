package plugin

import "github.com/klauspost/reedsolomon"

// field is GF(256) with the polynomial 0x11d, which is that of the library.
var field reedsolomon.LowLevel

// mulAdd adds c·src to dst in GF(256). Both have one length.
func mulAdd(dst, src []byte, c byte) { field.GalMulSliceXor(c, src, dst) }
