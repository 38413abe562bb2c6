/* Decides which stream sends next: the one with the least left. */
#include "pq.h"

static i64 on_next(u32 count) {
	const pq_streams_in *in = PQ_IN(pq_streams_in);
	u32 best = 0;
	for (u32 i = 1; i < count; i++)
		if (in->ready[i].bytes < in->ready[best].bytes) best = i;
	return best;
}

#define HOOKS(ON) ON(PQ_STREAM_NEXT, on_next)
PQ_PLUGIN(HOOKS)
