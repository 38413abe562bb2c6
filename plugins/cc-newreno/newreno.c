/* NewReno (RFC 9002 section 7) with HyStart++ as a plugin: the same decisions as the built-in controller of that name. */
#include "window.h"

static struct {
	window w;
	i64 acked; /* bytes acknowledged in congestion avoidance since the last step */
} paths[PATHS];
#define HERE (&paths[pq_path() % PATHS])

static i64 on_init(u32 arg) {
	window_init(&HERE->w, PQ_IN(pq_cc_init_in));
	HERE->acked = 0;
	return answer(&HERE->w);
}

static i64 on_ack(u32 arg) {
	const pq_acked *a = PQ_IN(pq_acked);
	window *w = &HERE->w;
	if (may_grow(w, a)) {
		if (in_slow_start(w)) {
			slow_start(w, a);
		} else {
			/* RFC 9002 7.3.3: one datagram for each window acknowledged. */
			i64 acked = HERE->acked + (i64)a->bytes;
			for (; acked >= w->size; w->size += w->mss) acked -= w->size;
			HERE->acked = acked;
		}
	}
	return answer(w);
}

static i64 on_loss(u32 arg) {
	const pq_lost *l = PQ_IN(pq_lost);
	window *w = &HERE->w;
	if (l->largest_sent > w->recovery) {
		reduce(w, pq_now(), w->size / 2);
		HERE->acked = 0;
	}
	if (l->flags & 1) collapse(w);
	return answer(w);
}

static i64 on_spurious(u32 arg) {
	undo(&HERE->w);
	return answer(&HERE->w);
}

static i64 on_mtu(u32 arg) {
	mtu_changed(&HERE->w, (i64)PQ_IN(pq_cc_mtu_in)->datagram);
	return answer(&HERE->w);
}

#define HOOKS(ON) ON(PQ_CC_INIT, on_init) ON(PQ_CC_ACK, on_ack) ON(PQ_CC_LOSS, on_loss) ON(PQ_CC_SPURIOUS, on_spurious) ON(PQ_CC_MTU, on_mtu)
PQ_PLUGIN(HOOKS)
