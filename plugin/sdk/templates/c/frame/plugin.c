/* A frame of its own: both ends run this plugin. The client asks for the time every 100 ms while the connection lives; the server's
 * answer gives a round-trip time that no acknowledgment delay is in. */
#include "pq.h"

enum { ASK, ANSWER }; /* frames, as in manifest.json */
enum { ASKED, ANSWERED, RTT }; /* metrics */
#define MILLISECOND 1000000ull

static u64 asked_at; /* that the server is to answer */

static i64 on_timer(u32 id) {
	if (pq_reserve(ASK, 8, PQ_URGENT) > 0) pq_count(ASKED, 1);
	pq_timer_set(1, pq_now() + 100 * MILLISECOND);
	return 0;
}

static i64 on_state(u32 arg) {
	if (!PQ_SERVER && PQ_IN(pq_state_in)->to == 2) pq_timer_set(1, pq_now() + 100 * MILLISECOND);
	return 0;
}

/* There is room for a reserved frame: write its body. */
static i64 on_write(u32 token) {
	u64 t = PQ_IN(pq_frame_write_in)->frame == ASK ? pq_now() : asked_at;
	if (pq_write_cap() < 8) return PQ_DEFER;
	pq_copy(pq_write(), &t, 8);
	return 8;
}

static i64 on_frame(u32 frame) {
	if (pq_view_len() != 8) return PQ_FRAME_MALFORMED;
	u64 t;
	pq_copy(&t, pq_view(), 8);
	if (frame == ASK) {
		asked_at = t;
		pq_reserve(ANSWER, 8, PQ_URGENT);
	} else {
		pq_count(ANSWERED, 1);
		pq_count(RTT, (i64)((pq_now() - t) / 1000));
	}
	return PQ_FRAME_TAKEN;
}

static i64 on_fate(u32 token) { return 0; }

#define HOOKS(ON)                                                                                    \
	ON(PQ_STATE_CHANGED, on_state) ON(PQ_TIMER, on_timer) ON(PQ_FRAME_PROCESS, on_frame)             \
	ON(PQ_FRAME_WRITE, on_write) ON(PQ_FRAME_FATE, on_fate)
PQ_PLUGIN(HOOKS)
