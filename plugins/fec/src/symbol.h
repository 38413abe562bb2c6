/* symbol.h: the unit of the code, and the frames.
 *
 * A source symbol is what one packet carried: u16 length of the frames, u32 low half of the packet number (both big-endian), the frames.
 * Shorter ones count as if zeros followed. Source symbols are numbered from 0, one after the other, each direction for itself. */

enum { FRAME_SOURCE, FRAME_REPAIR, FRAME_RECOVERED };

enum {
	SYMBOL_HEAD = 6,
	REPAIR_HEAD = 1 + 8 + 1 + 2,               /* bytes of the longest */
	REPAIR_MAX = 1450,                         /* bytes of a REPAIR frame's body, as in the manifest */
	SYMBOL_MAX = REPAIR_MAX - REPAIR_HEAD,     /* limit: bytes of a symbol */
	SLOT = (SYMBOL_MAX + 15) & ~15,            /* bytes that one takes in memory */
	FRAME_HEAD = 2 + 2,                        /* type and length of a REPAIR frame on the wire */
	MAX_RESERVE = 64,                          /* bytes that a packet can leave free */
	SOURCE_MAX = 4,                            /* bytes of a SOURCE frame's body, as in the manifest */
	SOURCE_ROOM = 2 + 1 + SOURCE_MAX + 1       /* bytes that the connection keeps free for one that rides along */
};

static void put16(u8 *p, u32 v) { p[0] = (u8)(v >> 8); p[1] = (u8)v; }
static void put32(u8 *p, u32 v) { put16(p, v >> 16); put16(p + 2, v); }
static u32 get16(const u8 *p) { return (u32)p[0] << 8 | p[1]; }
static u32 get32(const u8 *p) { return get16(p) << 16 | get16(p + 2); }

/* put_symbol makes a symbol of n <= SYMBOL_MAX - SYMBOL_HEAD bytes of frames, and returns its length. */
static u32 put_symbol(u8 *s, u64 pn, const u8 *frames, u32 n) {
	put16(s, n);
	put32(s + 2, (u32)pn);
	pq_copy(s + SYMBOL_HEAD, frames, n);
	return SYMBOL_HEAD + n;
}

/* muladd adds c times src to dst. Most coefficients of XOR are 1. */
static void muladd(u8 *dst, const u8 *src, u32 n, u32 c) {
	if (c == 1) pq_xor(dst, src, n);
	else pq_gf256_muladd(dst, src, n, c);
}
