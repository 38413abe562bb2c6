/* receiver.h: the source symbols of what the peer sent, the equations that repairs are, and what follows from both.
 *
 * The equations are kept in reduced row echelon form: each has a pivot, an unknown symbol that no other has, with coefficient 1. So an
 * equation with a single unknown is that symbol, and neither a new equation nor a new symbol costs more than two sums per equation. */

enum {
	RX_RING = 128,  /* limit: source symbols that are remembered; a power of two, at least twice MAX_COUNT */
	RX_ROWS = 32,   /* limit: equations that wait for symbols; one bit each in rx.rows */
	RX_NEWS = 32    /* limit: recovered symbols that the peer is yet to be told of */
};

static u8 rx_data[RX_RING][SLOT];
static u16 rx_len[RX_RING]; /* 0 = unknown */

/* Coefficients and symbol lie side by side, so that one call adds both. */
typedef struct {
	u8 c[RX_RING]; /* by number mod RX_RING; 0 for those that are known */
	u8 data[SLOT];
} equation;

static equation rx_rows[RX_ROWS], rx_scratch;
static struct { u32 pivot, len, age; } rx_row[RX_ROWS];

static struct {
	u64 end;    /* 1 more than the largest number that was heard of */
	u64 pn;     /* largest packet number that was heard of */
	u32 rows;   /* bit i: rx_rows[i] is an equation */
	u32 age;    /* of the newest of them */
	u64 news[RX_NEWS]; /* in ascending order */
	u32 newsLen;
	u32 told;   /* token of the reservation that will tell them */
} rx;

/* RX_EACH goes through the equations that there are when it begins. */
#define RX_EACH(i) for (u32 rest_ = rx.rows, i; rest_ && (i = (u32)__builtin_ctz(rest_), 1); rest_ &= rest_ - 1)

static void rx_init(void) {
	pq_zero(&rx, sizeof rx);
	pq_zero(rx_len, sizeof rx_len);
}

/* rx_forgotten reports whether a number lies before those that are remembered. */
static u32 rx_forgotten(u64 sid) { return sid < rx.end && rx.end - sid > RX_RING; }

/* rx_advance makes room for the numbers before end. Equations with unknowns that are forgotten go with them. */
static void rx_advance(u64 end) {
	if (end <= rx.end) return;
	if (end - rx.end >= RX_RING) {
		pq_zero(rx_len, sizeof rx_len);
		rx.rows = 0;
		rx.end = end;
		return;
	}
	for (; rx.end < end; rx.end++) {
		u32 col = rx.end % RX_RING;
		rx_len[col] = 0;
		RX_EACH(i) if (rx_rows[i].c[col]) rx.rows &= ~(1u << i);
	}
}

/* rx_add_row adds a times equation from to equation to. */
static void rx_add_row(u32 to, u32 from, u32 a) {
	work_spend(WORK_SUM);
	rx_row[to].len = pq_max(rx_row[to].len, rx_row[from].len);
	muladd((u8 *)&rx_rows[to], (const u8 *)&rx_rows[from], RX_RING + rx_row[from].len, a);
}

/* rx_pick gives equation i a pivot and removes that from the others. An equation without unknowns says nothing new, and goes. */
static void rx_pick(u32 i) {
	equation *e = &rx_rows[i];
	u32 col = 0;
	while (col < RX_RING && e->c[col] == 0) col++;
	if (col == RX_RING) {
		rx.rows &= ~(1u << i);
		return;
	}
	rx_row[i].pivot = col;
	u8 a = gf_inverse(e->c[col]);
	if (a != 1) { /* e + (a+1)·e = a·e */
		pq_copy(&rx_scratch, e, RX_RING + rx_row[i].len);
		muladd((u8 *)e, (const u8 *)&rx_scratch, RX_RING + rx_row[i].len, a ^ 1);
	}
	RX_EACH(j) if (j != i && rx_rows[j].c[col]) rx_add_row(j, i, rx_rows[j].c[col]);
}

/* rx_know puts symbol col, which lies in the ring, into the equations. */
static void rx_know(u32 col) {
	RX_EACH(i) {
		if (rx_rows[i].c[col] == 0) continue;
		if (rx_len[col] > rx_row[i].len) { /* a repair is as long as its longest symbol, so one of the two is wrong */
			rx.rows &= ~(1u << i);
			continue;
		}
		work_spend(WORK_SUM);
		muladd(rx_rows[i].data, rx_data[col], rx_len[col], rx_rows[i].c[col]);
		rx_rows[i].c[col] = 0;
		if (rx_row[i].pivot == col) rx_pick(i);
	}
}

/* rx_free returns a place for an equation, if need be that of the oldest. */
static u32 rx_free(void) {
	if (rx.rows != ~0u) return (u32)__builtin_ctz(~rx.rows);
	u32 oldest = 0;
	RX_EACH(i) if (rx_row[i].age < rx_row[oldest].age) oldest = i;
	return oldest;
}

/* rx_single reports whether an equation has no unknown but its pivot. */
static u32 rx_single(u32 i) {
	u64 words[RX_RING / 8], rest = 0;
	__builtin_memcpy(words, rx_rows[i].c, RX_RING);
	words[rx_row[i].pivot / 8] &= ~(0xffull << 8 * (rx_row[i].pivot % 8));
	for (u32 k = 0; k < RX_RING / 8; k++) rest |= words[k];
	return rest == 0;
}

/* rx_expand finds the packet number with this low half that is closest to those that were heard of. */
static u64 rx_expand(u32 low) {
	u64 pn = (rx.pn & ~0xffffffffull) | low;
	if (pn > rx.pn + 0x80000000ull && pn >= 1ull << 32) return pn - (1ull << 32);
	if (pn + 0x80000000ull < rx.pn) return pn + (1ull << 32);
	return pn;
}

/* rx_valid reports whether the bytes are a symbol: its frames, and nothing but zeros after them. */
static u32 rx_valid(const u8 *s, u32 len) {
	u32 n = SYMBOL_HEAD + get16(s);
	if (n <= SYMBOL_HEAD || n > len) return 0;
	u64 rest = 0, word;
	u32 i = n;
	for (; i + 8 <= len; i += 8) {
		__builtin_memcpy(&word, s + i, 8);
		rest |= word;
	}
	for (; i < len; i++) rest |= s[i];
	return rest == 0;
}

/* rx_tell remembers that a symbol was recovered, for the peer. */
static void rx_tell(u64 sid) {
	if (rx.newsLen == RX_NEWS) { /* the peer will send it again; that is all */
		pq_cancel(rx.told);
		rx.told = rx.newsLen = 0;
		return;
	}
	u32 i = rx.newsLen++;
	for (; i > 0 && rx.news[i - 1] > sid; i--) rx.news[i] = rx.news[i - 1];
	rx.news[i] = sid;
	if (rx.told) return;
	i64 token = pq_reserve(FRAME_RECOVERED, 1 + 8 * RX_NEWS, PQ_URGENT);
	if (token > 0) rx.told = (u32)token;
	else rx.newsLen = 0;
}

/* rx_harvest hands in what the equations now say, and returns how many symbols that were. */
static u32 rx_harvest(void) {
	u32 n = 0;
	RX_EACH(i) {
		if (!rx_single(i)) continue;
		u32 col = rx_row[i].pivot, len = rx_row[i].len;
		u8 *s = rx_rows[i].data;
		rx.rows &= ~(1u << i);
		if (!rx_valid(s, len)) continue;
		u64 sid = rx.end - 1 - (rx.end - 1 - col) % RX_RING;
		rx_len[col] = (u16)(SYMBOL_HEAD + get16(s));
		pq_copy(rx_data[col], s, rx_len[col]);
		n++;
		if (pq_recovered(pq_path(), rx_expand(get32(s + 2)), s + SYMBOL_HEAD, get16(s)) == 0) rx_tell(sid);
	}
	if (n) pq_count(METRIC_RECOVERED, n);
	return n;
}

/* rx_source takes a source symbol that arrived. */
static i64 rx_source(u64 sid, u64 pn, const u8 *frames, u32 n) {
	if (rx_forgotten(sid) || n == 0 || n > SYMBOL_MAX - SYMBOL_HEAD || work_short()) return PQ_FRAME_IGNORED;
	work_spend(WORK_SYMBOL);
	rx_advance(sid + 1);
	rx.pn = pq_max(rx.pn, pn);
	u32 col = sid % RX_RING;
	if (rx_len[col]) return PQ_FRAME_IGNORED;
	rx_len[col] = (u16)put_symbol(rx_data[col], pn, frames, n);
	rx_know(col);
	rx_harvest();
	return PQ_FRAME_TAKEN;
}

/* rx_equation makes equation i of a repair, less what is known. It returns how many unknowns there are, or -1 if a known symbol is longer
 * than the repair, which is then none. */
static i32 rx_equation(u32 i, u64 first, u32 count, const u8 *c, const u8 *data, u32 len) {
	equation *e = &rx_rows[i];
	i32 unknown = 0;
	pq_zero(e, sizeof *e);
	pq_copy(e->data, data, len);
	for (u32 k = 0; k < count; k++) {
		u32 col = (first + k) % RX_RING;
		if (c[k] == 0) continue;
		if (rx_len[col] > len) return -1;
		if (rx_len[col]) {
			muladd(e->data, rx_data[col], rx_len[col], c[k]);
		} else {
			e->c[col] = c[k];
			unknown++;
		}
	}
	return unknown;
}

/* rx_unknown reports whether one of the symbols that a repair holds is missing. */
static u32 rx_unknown(u64 first, u32 count, const u8 *c) {
	for (u32 k = 0; k < count; k++)
		if (c[k] && rx_len[(first + k) % RX_RING] == 0) return 1;
	return 0;
}

/* rx_repair takes a REPAIR frame. */
static i64 rx_repair(const u8 *p, u32 n, u64 pn) {
	u64 first;
	u32 at = n > 1 ? pq_get_varint(p + 1, n - 1, &first) : 0;
	if (at == 0 || n < at + 4 + SYMBOL_HEAD + 1 || n - at - 4 > SYMBOL_MAX) return PQ_FRAME_MALFORMED;
	u32 scheme = p[0], count = p[at + 1], key = get16(p + at + 2);
	const u8 *data = p + at + 4;
	u32 len = n - at - 4;
	u8 c[MAX_COUNT];
	if (count == 0 || count > MAX_COUNT || !coefficients(c, scheme, key, count)) return PQ_FRAME_MALFORMED;
	rx_advance(first + count);
	if (rx_forgotten(first) || !rx_unknown(first, count, c) || work_short()) return PQ_FRAME_IGNORED;
	work_spend(WORK_REPAIR + count * WORK_SUM);
	rx.pn = pq_max(rx.pn, pn);
	u32 i = rx_free();
	rx.rows &= ~(1u << i);
	if (rx_equation(i, first, count, c, data, len) < 0) return PQ_FRAME_MALFORMED;
	rx_row[i].len = len;
	rx_row[i].age = ++rx.age;
	RX_EACH(j) {
		u8 a = rx_rows[i].c[rx_row[j].pivot];
		if (a) rx_add_row(i, j, a);
	}
	rx.rows |= 1u << i;
	rx_pick(i);
	rx_harvest();
	return PQ_FRAME_TAKEN;
}

/* rx_write_recovered writes the RECOVERED frame: the smallest number, then how much larger each next one is. */
static u32 rx_write_recovered(u8 *out, u32 room) {
	u32 n = 0, i = 0;
	u64 last = 0;
	for (; i < rx.newsLen && n + 8 <= room; i++) {
		n += pq_put_varint(out + n, rx.news[i] - last);
		last = rx.news[i];
	}
	rx.newsLen = 0; /* what found no room the peer sends again */
	rx.told = 0;
	return n;
}
