/* fec.c: forward error correction. What it is for, its frames and its settings: README.md. */
#include "pq.h"

enum { METRIC_REPAIRS_SENT, METRIC_RECOVERED, METRIC_DELIVERED, METRIC_REPAIRS_UNUSED };

#include "gf256.h"
#include "scheme.h"
#include "symbol.h"
#include "config.h"
#include "work.h"
#include "sender.h"
#include "policy.h"
#include "receiver.h"

enum { EARLY = 2, STREAMS = 4, TRAIN = 1 };

PQ_EXPORT("pq_init") void pq_init(void) { gf_init(); }

static i64 on_attach(u32 arg) {
	if (!config_read(pq_view(), pq_view_len())) return PQ_FAIL;
	work_init();
	tx_init();
	policy_init();
	rx_init();
	return 0;
}

static i64 on_packet_begin(u32 arg) {
	const pq_packet_begin_in *in = PQ_IN(pq_packet_begin_in);
	pq_packet_begin_out *out = PQ_OUT(pq_packet_begin_out);
	u32 reserve = tx_reserve(in->room);
	out->size = sizeof *out;
	out->above = tx_above();
	if (in->flags & EARLY || reserve > MAX_RESERVE || !tx_wanted(in->waiting)) return 0;
	out->flags = tx_steady() ? TRAIN : 0;
	out->reserve = reserve;
	out->ride = FRAME_SOURCE + 1;
	return 0;
}

/* on_ride makes the packet, of which the frames are there, the next source symbol. */
static u32 on_ride(const pq_frame_write_in *in, u8 *out, u32 room) {
	u32 n = pq_view_len() ? tx_write_source(out, room, in->pn) : 0;
	if (n == 0) return 0;
	tx_add(in->pn, pq_view(), pq_view_len(), in->flags & STREAMS);
	policy_sent(in->flags & STREAMS, in->waiting);
	return n;
}

static i64 on_frame_write(u32 token) {
	const pq_frame_write_in *in = PQ_IN(pq_frame_write_in);
	u32 room = pq_min(in->room, pq_write_cap());
	switch (in->frame) {
	case FRAME_SOURCE: return on_ride(in, pq_write(), room);
	case FRAME_REPAIR: return policy_write(token, pq_write(), pq_min(room, REPAIR_MAX), in->pn);
	case FRAME_RECOVERED:
		tx.busy = in->pn + 1; /* what else is in the packet could not be recovered beside it */
		return rx_write_recovered(pq_write(), room);
	}
	return 0;
}

/* on_recovered takes what the peer recovered: it need not be sent again. */
static i64 on_recovered(const u8 *p, u32 n) {
	u64 sid = 0, more;
	for (u32 i = 0; n > 0; i++) {
		u32 len = pq_get_varint(p, n, &more);
		if (len == 0 || i == RX_NEWS || (i > 0 && more == 0)) return PQ_FRAME_MALFORMED;
		sid += more;
		if (sid >= tx.next) return PQ_FRAME_MALFORMED; /* that was never sent */
		p += len;
		n -= len;
		if (sid + TX_HISTORY < tx.next) continue;
		u32 at = sid % TX_HISTORY;
		if (pq_delivered(tx_history[at].path, tx_history[at].pn) == 0) pq_count(METRIC_DELIVERED, 1);
		tx_settle(sid);
	}
	return PQ_FRAME_TAKEN;
}

static i64 on_frame_process(u32 frame) {
	const pq_frame_in *in = PQ_IN(pq_frame_in);
	const u8 *p = pq_view();
	u32 n = pq_view_len();
	u64 sid;
	switch (frame) {
	case FRAME_SOURCE:
		if (n == 0 || pq_get_varint(p, n, &sid) != n) return PQ_FRAME_MALFORMED;
		return rx_source(sid, in->pn, (const u8 *)in->before, in->before_len);
	case FRAME_REPAIR: {
		i64 verdict = rx_repair(p, n, in->pn);
		if (verdict == PQ_FRAME_IGNORED) pq_count(METRIC_REPAIRS_UNUSED, 1);
		return verdict;
	}
	case FRAME_RECOVERED: return on_recovered(p, n);
	}
	return PQ_FRAME_MALFORMED;
}

#define HOOKS(ON)                                                                                      \
	ON(PQ_ATTACH, on_attach) ON(PQ_TIMER, on_timer)                                                    \
	ON(PQ_FRAME_PROCESS, on_frame_process) ON(PQ_FRAME_WRITE, on_frame_write)                          \
	ON(PQ_TX_PACKET_BEGIN, on_packet_begin)
PQ_PLUGIN(HOOKS)
