/* Decides when received packets are acknowledged: every so many, a setting, or when the peer's patience ends. */
#include "pq.h"

static u32 every;

static i64 on_attach(u32 arg) {
	every = (u32)pq_setting(0);
	return 0;
}

static i64 on_ack_policy(u32 arg) {
	const pq_ack_in *in = PQ_IN(pq_ack_in);
	if (in->flags & 3) return PQ_DEFER; /* reordered, or marked: the connection acknowledges at once */
	pq_ack_out *out = PQ_OUT(pq_ack_out);
	out->size = sizeof *out;
	out->at = in->eliciting >= every ? pq_now() : in->oldest + in->max_delay;
	return 0;
}

#define HOOKS(ON) ON(PQ_ATTACH, on_attach) ON(PQ_ACK_POLICY, on_ack_policy)
PQ_PLUGIN(HOOKS)
