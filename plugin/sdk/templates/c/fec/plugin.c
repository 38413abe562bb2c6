/* Forward erasure correction at its simplest: after every `group` packets with stream data, one repair frame with their XOR, so that
 * the receiver makes up for one lost packet of them without waiting for it to be sent again. plugins/fec does much more. */
#include "pq.h"

enum { SOURCE, REPAIR }; /* frames, as in manifest.json */
#define HEADROOM 40      /* bytes of each packet that are left free, so that a repair fits into one */
#define SYMBOL 1360      /* bytes: packet number 8, length 2, frames */
#define MOST 16          /* packets of a group */

static u32 group;

typedef struct {
	u32 id, n, len;     /* group, packets in it, longest */
	u8 sum[SYMBOL];
} sums;

static sums sending, repair;   /* repair: waits to be written */
static u32 repair_ready;

static struct {
	u32 id, seen, whole;       /* bits of the packets that came; whether a repair came or was used */
	u8 sum[SYMBOL];
} receiving[4];                /* the last groups */

static i64 on_attach(u32 arg) {
	group = (u32)pq_setting(0);
	return 0;
}

/* Adds a packet to a sum. */
static void add(u8 *sum, u64 pn, const u8 *frames, u32 n) {
	static _Alignas(8) u8 head[10];
	pq_copy(head, &pn, 8);
	head[8] = (u8)n;
	head[9] = (u8)(n >> 8);
	pq_xor(sum, head, 10);
	pq_xor(sum + 10, frames, n);
}

static i64 on_begin(u32 arg) {
	pq_packet_begin_out *out = PQ_OUT(pq_packet_begin_out);
	out->size = sizeof *out;
	out->reserve = HEADROOM;
	out->ride = SOURCE + 1;
	return 0;
}

/* Everything else is in the packet: SOURCE {group 4, index 1} rides along. Or a repair is written: {group 4, count 1, sum}. */
static i64 on_write(u32 token) {
	u8 *p = pq_write();
	if (PQ_IN(pq_frame_write_in)->flags & 1) {
		if (pq_write_cap() < 5) return 0;
		pq_copy(p, &sending.id, 4);
		p[4] = (u8)sending.n;
		return 5;
	}
	if (!repair_ready) return 0;
	if (pq_write_cap() < 5 + repair.len) return PQ_DEFER;
	pq_copy(p, &repair.id, 4);
	p[4] = (u8)repair.n;
	pq_copy(p + 5, repair.sum, repair.len);
	repair_ready = 0;
	return 5 + repair.len;
}

static i64 on_payload(u32 arg) {
	const pq_tx_payload_in *in = PQ_IN(pq_tx_payload_in);
	u32 n = pq_view_len();
	if (!(in->flags & 4) || n + 10 > SYMBOL) return 0;
	add(sending.sum, in->pn, pq_view(), n);
	sending.len = (u32)pq_max(sending.len, n + 10);
	sending.n++;
	if (sending.n < group && in->waiting > 0) return 0; /* the group is not full, and more data waits */
	repair = sending;
	repair_ready = 1;
	pq_reserve(REPAIR, 5 + repair.len, 0);
	u32 next = sending.id + 1;
	pq_zero(&sending, sizeof sending);
	sending.id = next;
	return 0;
}

/* With all but one of a group the sum is the missing packet. */
static void recover(u32 at, u32 n) {
	u32 all = (1u << n) - 1, missing = all & ~receiving[at].seen;
	if (receiving[at].whole != 1 || !missing || (missing & (missing - 1))) return;
	u64 pn;
	pq_copy(&pn, receiving[at].sum, 8);
	u32 len = receiving[at].sum[8] | receiving[at].sum[9] << 8;
	receiving[at].whole = 2;
	if (len <= SYMBOL - 10) pq_recovered(0, pn, receiving[at].sum + 10, len);
}

static i64 on_frame(u32 frame) {
	const pq_frame_in *in = PQ_IN(pq_frame_in);
	const u8 *body = pq_view();
	u32 n = pq_view_len(), id;
	static u32 counts[4];
	if (n < 5) return PQ_FRAME_MALFORMED;
	pq_copy(&id, body, 4);
	u32 at = id % 4, k = body[4];
	if (k > MOST || (frame == SOURCE && (k >= MOST || n != 5)) || n - 5 > SYMBOL) return PQ_FRAME_MALFORMED;
	if (receiving[at].id != id || (!receiving[at].seen && !receiving[at].whole)) {
		pq_zero(&receiving[at], sizeof receiving[at]);
		receiving[at].id = id;
		counts[at] = 0;
	}
	if (frame == SOURCE) {
		if (receiving[at].seen & 1u << k || in->before_len + 10 > SYMBOL) return PQ_FRAME_IGNORED;
		receiving[at].seen |= 1u << k;
		add(receiving[at].sum, in->pn, (const u8 *)in->before, in->before_len);
	} else {
		if (receiving[at].whole) return PQ_FRAME_IGNORED;
		receiving[at].whole = 1;
		counts[at] = k;
		pq_xor(receiving[at].sum, body + 5, n - 5);
	}
	if (counts[at]) recover(at, counts[at]);
	return PQ_FRAME_TAKEN;
}

static i64 on_fate(u32 token) { return 0; }

#define HOOKS(ON)                                                                                    \
	ON(PQ_ATTACH, on_attach) ON(PQ_TX_PACKET_BEGIN, on_begin) ON(PQ_TX_PAYLOAD, on_payload)          \
	ON(PQ_FRAME_WRITE, on_write) ON(PQ_FRAME_PROCESS, on_frame) ON(PQ_FRAME_FATE, on_fate)
PQ_PLUGIN(HOOKS)
