/* A congestion controller of your own. This one is AIMD: it adds a datagram a round trip and halves the window on loss. */
#include "pq.h"

#define PATHS 8 /* a connection has at most so many at one time */

static struct {
	u64 datagram, window, threshold; /* bytes */
	u64 recovery;                    /* when the window was last reduced */
} paths[PATHS];
#define HERE (&paths[pq_path() % PATHS])

/* The last argument says whether this is slow start: the connection paces faster then. */
static i64 answer(void) { return pq_control(HERE->window, 0, HERE->window < HERE->threshold); }

/* A path begins: here and now, or before the plugin was attached. */
static i64 on_init(u32 arg) {
	const pq_cc_init_in *in = PQ_IN(pq_cc_init_in);
	HERE->datagram = in->datagram;
	HERE->window = in->window;
	HERE->threshold = ~0ull;
	HERE->recovery = 0;
	return answer();
}

static i64 on_ack(u32 arg) {
	const pq_acked *a = PQ_IN(pq_acked);
	if ((a->flags & 1) || a->largest_sent <= HERE->recovery) return answer(); /* the window was not the limit, or old news */
	if (HERE->window < HERE->threshold)
		HERE->window += a->bytes;
	else
		HERE->window += HERE->datagram * a->bytes / HERE->window;
	return answer();
}

static i64 on_loss(u32 arg) {
	const pq_lost *l = PQ_IN(pq_lost);
	if (l->largest_sent > HERE->recovery) { /* once a round trip */
		HERE->recovery = pq_now();
		HERE->window = HERE->threshold = pq_max(HERE->window / 2, 2 * HERE->datagram);
	}
	return answer();
}

#define HOOKS(ON) ON(PQ_CC_INIT, on_init) ON(PQ_CC_ACK, on_ack) ON(PQ_CC_LOSS, on_loss)
PQ_PLUGIN(HOOKS)
