/* sender.h: the source symbols of what this end sent, and what became of them. */

enum {
	TX_RING = MAX_COUNT, /* limit: source symbols that can be protected; a power of two */
	TX_HISTORY = 512,    /* limit: source symbols whose packet is remembered; a power of two */
	TRAIN_MAX = 64       /* packets that leave in one go */
};

static u8 tx_data[TX_RING][SLOT];
static u16 tx_len[TX_RING];

static struct { u64 pn; u32 path; u32 settled; } tx_history[TX_HISTORY];

static struct {
	u64 next;   /* number of the next source symbol */
	u64 base;   /* those before are settled: acknowledged, lost, or recovered by the peer; or out of the ring */
	u64 done;   /* those before were in a repair */
	u32 fresh;  /* how many of the rest carry stream data */
	u64 busy;   /* packet into which a REPAIR or RECOVERED frame was written last, plus 1 */
	u32 slack;  /* bytes by which later packets have less room than earlier ones: packet numbers become longer */
	u32 seen, lost; /* packets of which news came, decaying */
	u64 ackedAll, lostAll; /* packets of the connection that are in these */
} tx;

static void tx_init(void) {
	pq_zero(&tx, sizeof tx);
	tx.seen = 64; /* until the path says otherwise, it loses 3 % */
	tx.lost = 2;
	tx.ackedAll = (u64)pq_get(PQ_GET_PACKETS_ACKED, 0);
	tx.lostAll = (u64)pq_get(PQ_GET_PACKETS_LOST, 0);
}

/* Numbers of symbols that do not fit into a SOURCE frame are never used: what comes after the first billion packets is not protected. */
static const u64 tx_last = (1 << 30) - 1;

/* tx_wanted reports whether the packets that are filled now are worth protecting. With the policy `tail` those are not that will be long
 * acknowledged when the repair comes, so that bulk costs nothing. */
static u32 tx_wanted(u64 waiting) {
	if (tx.next > tx_last || work_short()) return 0;
	return cfg[CFG_POLICY] != POLICY_TAIL || waiting <= (u64)TX_RING * SYMBOL_MAX / 2;
}

/* tx_above is how much may wait before packets are not worth asking about; 0 = they always are. */
static u64 tx_above(void) { return cfg[CFG_POLICY] == POLICY_TAIL ? (u64)TX_RING * SYMBOL_MAX / 2 : 0; }

/* tx_steady reports whether the next packets keep as much free as this one: numbers do not grow. */
static u32 tx_steady(void) {
	u8 number[8];
	return pq_put_varint(number, tx.next) == pq_put_varint(number, tx.next + TRAIN_MAX);
}

/* tx_reserve is what a packet with so much room leaves free, beside a SOURCE frame's room, so that a repair of what it carries fits into another.
 * More than 64 bytes cannot be had: larger packets are not protected. */
static u32 tx_reserve(u32 room) {
	u8 number[8];
	u32 head = FRAME_HEAD + 4 + pq_put_varint(number, tx.next) + SYMBOL_HEAD + tx.slack;
	if (room > SYMBOL_MAX - SYMBOL_HEAD + head) head = room - (SYMBOL_MAX - SYMBOL_HEAD);
	return head > SOURCE_ROOM ? head - SOURCE_ROOM : 0;
}

/* tx_write_source writes a SOURCE frame at the end of a packet, and returns the length of its body; 0 if there is a repair in the packet,
 * which fills it and is not protected. */
static u32 tx_write_source(u8 *out, u32 room, u64 pn) {
	u8 number[8];
	u32 n = pq_put_varint(number, tx.next);
	if (tx.busy == pn + 1 || n > room) return 0;
	pq_copy(out, number, n);
	return n;
}

/* tx_add takes the frames of the packet as the next source symbol. */
static void tx_add(u64 pn, const u8 *frames, u32 n, u32 streams) {
	u64 sid = tx.next++;
	work_spend(WORK_SYMBOL);
	u32 at = sid % TX_RING;
	if (n > SYMBOL_MAX - SYMBOL_HEAD) { /* it has its number, and cannot be in a repair */
		tx.base = tx.done = tx.next;
		tx.fresh = 0;
		return;
	}
	tx_len[at] = (u16)put_symbol(tx_data[at], pn, frames, n);
	tx_history[sid % TX_HISTORY].pn = pn;
	tx_history[sid % TX_HISTORY].path = pq_path();
	tx_history[sid % TX_HISTORY].settled = 0;
	if (tx.next > TX_RING && tx.base < tx.next - TX_RING) tx.base = tx.next - TX_RING;
	if (tx.done < tx.base) tx.done = tx.base;
	tx.fresh += streams;
	if (tx.fresh > tx.next - tx.done) tx.fresh = (u32)(tx.next - tx.done);
}

/* tx_settle notes that nothing more is to be done for a source symbol. */
static void tx_settle(u64 sid) {
	tx_history[sid % TX_HISTORY].settled = 1;
}

/* tx_count takes into account that of n more packets news came, and that bad of them are lost. */
static void tx_count(u32 n, u32 bad) {
	tx.seen += n;
	tx.lost += bad;
	while (tx.seen >= 512) {
		tx.seen /= 2;
		tx.lost /= 2;
	}
}

/* tx_news asks the connection what became of packets: once before a decision, not for each of them. */
static void tx_news(void) {
	u64 acked = (u64)pq_get(PQ_GET_PACKETS_ACKED, 0), lost = (u64)pq_get(PQ_GET_PACKETS_LOST, 0), oldest = (u64)pq_get(PQ_GET_OLDEST_PACKET, 0);
	u64 bad = lost - tx.lostAll, n = acked - tx.ackedAll + bad;
	tx.ackedAll = acked;
	tx.lostAll = lost;
	tx_count((u32)pq_min(n, 4096), (u32)pq_min(bad, 4096));
	while (tx.base < tx.next) {
		u32 at = tx.base % TX_HISTORY;
		if (!tx_history[at].settled && tx_history[at].pn >= oldest) return;
		tx.base++;
	}
}

/* tx_longest returns the length of the longest of count symbols from first. */
static u32 tx_longest(u64 first, u32 count) {
	u32 len = 0;
	for (u32 i = 0; i < count; i++) len = pq_max(len, tx_len[(first + i) % TX_RING]);
	return len;
}

/* tx_write_repair writes the REPAIR frame with this key for count > 0 source symbols from first, which are in the ring. It returns its length, or 0
 * if there is no room. */
static u32 tx_write_repair(u8 *out, u32 room, u64 first, u32 count, u32 key) {
	u32 len = tx_longest(first, count);
	u8 head[REPAIR_HEAD];
	head[0] = (u8)cfg[CFG_SCHEME];
	u32 n = 1 + pq_put_varint(head + 1, first);
	head[n++] = (u8)count;
	put16(head + n, key);
	n += 2;
	if (n + len > room) {
		if (n + len <= room + 16) tx.slack = 16; /* that can be longer packet numbers; plaintexts are whole blocks of 16 */
		return 0;
	}
	work_spend(count * WORK_SUM);
	u8 c[MAX_COUNT];
	coefficients(c, cfg[CFG_SCHEME], key, count);
	pq_copy(out, head, n);
	pq_zero(out + n, len);
	for (u32 i = 0; i < count; i++) {
		u32 at = (first + i) % TX_RING;
		if (c[i]) muladd(out + n, tx_data[at], tx_len[at], c[i]);
	}
	return n + len;
}
