package fec_test

// A second opinion on the arithmetic of the plugin: GF(256) by shifting and adding, TinyMT32 from its paper, and the three schemes from what
// README.md says of them. Nothing here is shared with the plugin or the host.

// mul multiplies in GF(256) with the polynomial 0x11d.
func mul(a, b byte) byte {
	var p int
	for x := int(a); b > 0; b >>= 1 {
		if b&1 != 0 {
			p ^= x
		}
		x <<= 1
		if x > 255 {
			x ^= 0x11d
		}
	}
	return byte(p)
}

// inverse returns a⁻¹ = a²⁵⁴.
func inverse(a byte) byte {
	p := byte(1)
	for range 254 {
		p = mul(p, a)
	}
	return p
}

// products is the whole table of multiplication.
var products = func() (p [256][256]byte) {
	for a := range p {
		for b := range p[a] {
			p[a][b] = mul(byte(a), byte(b))
		}
	}
	return p
}()

// mulAdd adds c·src to dst.
func mulAdd(dst, src []byte, c byte) {
	for i, b := range src {
		dst[i] ^= products[c][b]
	}
}

// tinyMT is the generator of RFC 8682.
type tinyMT [4]uint32

func newTinyMT(seed uint32) *tinyMT {
	t := &tinyMT{seed, 0x8f7011ee, 0xfc78ff1f, 0x3793fdff}
	for i := uint32(1); i < 8; i++ {
		last := t[(i-1)%4]
		t[i%4] ^= i + 1812433253*(last^last>>30)
	}
	for range 8 {
		t.step()
	}
	return t
}

func (t *tinyMT) step() {
	x := t[0]&0x7fffffff ^ t[1] ^ t[2]
	x ^= x << 1
	y := t[3] ^ t[3]>>1 ^ x
	*t = tinyMT{t[1], t[2], x ^ y<<10, y}
	if y%2 == 1 {
		t[1] ^= 0x8f7011ee
		t[2] ^= 0xfc78ff1f
	}
}

func (t *tinyMT) next() uint32 {
	t.step()
	b := t[0] + t[2]>>8
	if b%2 == 1 {
		return t[3] ^ b ^ 0x3793fdff
	}
	return t[3] ^ b
}

// The schemes, as in the manifest.
const (
	rlc = iota
	rs
	xor
)

// coefficients returns what a repair with this key multiplies its n symbols with.
func coefficients(scheme int, key uint16, n int) []byte {
	c := make([]byte, n)
	t := newTinyMT(uint32(key))
	for i := range c {
		switch scheme {
		case rlc:
			for c[i] == 0 {
				c[i] = byte(t.next())
			}
		case rs:
			c[i] = inverse(byte(i) ^ (255 - byte(key)))
		case xor:
			if i%int(key>>8) == int(key&255) {
				c[i] = 1
			}
		}
	}
	return c
}

// repairOf returns the repair symbol with this key of the symbols.
func repairOf(scheme int, key uint16, symbols [][]byte) []byte {
	longest := 0
	for _, s := range symbols {
		longest = max(longest, len(s))
	}
	out := make([]byte, longest)
	for i, c := range coefficients(scheme, key, len(symbols)) {
		mulAdd(out, symbols[i], c)
	}
	return out
}
