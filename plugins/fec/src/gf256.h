/* gf256.h: single elements of GF(256) with the polynomial x^8+x^4+x^3+x^2+1 (0x11d), and the generator of RLC's coefficients.
 * What is done to whole symbols is the host's: pq_gf256_muladd and pq_xor. */

static u8 gf_exp[255], gf_log[256];

/* gf_init fills the tables: powers of 2, which generates the field. */
static void gf_init(void) {
	u32 x = 1;
	for (u32 i = 0; i < 255; i++) {
		gf_exp[i] = (u8)x;
		gf_log[x] = (u8)i;
		x = x << 1 ^ (x & 0x80 ? 0x11d : 0);
	}
}

/* gf_inverse takes a != 0. */
static u8 gf_inverse(u8 a) { return gf_exp[(255 - gf_log[a]) % 255]; }

/* TinyMT32 with the parameters of RFC 8682: both ends draw the same coefficients from the same repair key. */
typedef struct { u32 s[4]; } tinymt;

enum { MT_LOOPS = 8 };
static const u32 mt_mat1 = 0x8f7011ee, mt_mat2 = 0xfc78ff1f, mt_tmat = 0x3793fdff;

static void tinymt_step(tinymt *t) {
	u32 y = t->s[3], x = (t->s[0] & 0x7fffffff) ^ t->s[1] ^ t->s[2];
	x ^= x << 1;
	y ^= y >> 1 ^ x;
	u32 odd = -(y & 1);
	t->s[0] = t->s[1];
	t->s[1] = t->s[2] ^ (odd & mt_mat1);
	t->s[2] = x ^ y << 10 ^ (odd & mt_mat2);
	t->s[3] = y;
}

static void tinymt_seed(tinymt *t, u32 seed) {
	t->s[0] = seed;
	t->s[1] = mt_mat1;
	t->s[2] = mt_mat2;
	t->s[3] = mt_tmat;
	for (u32 i = 1; i < MT_LOOPS; i++) {
		u32 last = t->s[(i - 1) & 3];
		t->s[i & 3] ^= i + 1812433253u * (last ^ last >> 30);
	}
	for (u32 i = 0; i < MT_LOOPS; i++) tinymt_step(t);
}

static u32 tinymt_next(tinymt *t) {
	tinymt_step(t);
	u32 a = t->s[3], b = t->s[0] + (t->s[2] >> 8);
	return a ^ b ^ (-(b & 1) & mt_tmat);
}
