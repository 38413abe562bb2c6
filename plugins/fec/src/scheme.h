/* scheme.h: which combination of its source symbols a repair symbol is. The three schemes differ in nothing else.
 *
 *   RLC  random linear code: coefficient i is the i-th value of TinyMT32, seeded with the repair key, whose low byte is not 0
 *        (RFC 8681 with a density threshold of 15: no coefficient is 0).
 *   RS   Reed-Solomon: coefficient i of repair j is 1/(i + (255 - j)), a Cauchy matrix, of which every square part is regular.
 *        Any n of n source and r repair symbols give back the rest, as long as i and 255 - j differ: n <= 64, j < 64.
 *   XOR  parity: repair j of r is the sum of the symbols i with i mod r = j, so that r losses in a row are healed. */

enum { SCHEME_RLC, SCHEME_RS, SCHEME_XOR, SCHEMES };

enum {
	MAX_COUNT = 64,  /* limit: source symbols of a repair symbol */
	MAX_REPAIRS = 64 /* limit: repair symbols of a block */
};

/* coefficients fills c for the symbols of one repair. It returns 0 if the key means nothing. */
static u32 coefficients(u8 *c, u32 scheme, u32 key, u32 count) {
	u32 j = key & 0xff, r = key >> 8;
	switch (scheme) {
	case SCHEME_RLC: {
		tinymt t;
		tinymt_seed(&t, key);
		for (u32 i = 0; i < count; i++) do c[i] = (u8)tinymt_next(&t); while (c[i] == 0);
		return 1;
	}
	case SCHEME_RS:
		if (key >= MAX_REPAIRS) return 0;
		for (u32 i = 0; i < count; i++) c[i] = gf_inverse((u8)(i ^ (255 - j)));
		return 1;
	case SCHEME_XOR:
		if (r == 0 || j >= r || r > MAX_REPAIRS) return 0;
		for (u32 i = 0; i < count; i++) c[i] = i % r == j;
		return 1;
	}
	return 0;
}
