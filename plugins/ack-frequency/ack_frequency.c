/* Fewer acknowledgments (draft-ietf-quic-ack-frequency) as a plugin: so many a round trip, both of those that we send and of those that
 * we ask the peer for. Out of order packets and marks are still acknowledged at once. */
#include "pq.h"

#define MILLISECOND 1000000ull
#define LEAST 2      /* packets: RFC 9000 13.2.2 */
#define START 12     /* round trips */
#define MOST 64      /* a train */

static u64 per_trip, floor_delay; /* settings */
static u64 srtt;                  /* of the path in use; 0 = not known */
static u64 began;                 /* when it was known first */

static i64 on_attach(u32 arg) {
	per_trip = (u64)pq_setting(0);
	floor_delay = (u64)pq_setting(1) * MILLISECOND;
	srtt = began = 0;
	return 0;
}

static i64 on_rtt(u32 arg) {
	srtt = PQ_IN(pq_rtt_in)->smoothed;
	if (!began) began = pq_now();
	return 0;
}

/* What we send: as late as a fraction of a round trip, or as the peer asked if that is later. The connection keeps max_ack_delay. A peer that begins
 * judges by each acknowledgment when to leave slow start (RFC 9406): it is left alone for so many round trips. */
static i64 on_ack_policy(u32 arg) {
	const pq_ack_in *in = PQ_IN(pq_ack_in);
	if ((in->flags & 3) || !srtt || pq_now() - began < START * srtt) return PQ_DEFER;
	if (in->threshold > LEAST) return PQ_DEFER; /* the peer asked: it knows best */
	pq_ack_out *out = PQ_OUT(pq_ack_out);
	out->size = sizeof *out;
	out->at = in->eliciting >= MOST ? pq_now() : in->oldest + pq_min(pq_max(srtt / per_trip, floor_delay), in->max_delay);
	return 0;
}

/* What we ask for: a share of the window each. A request for little change is not worth its bytes. */
static i64 on_ack_request(u32 arg) {
	const pq_ack_request_in *in = PQ_IN(pq_ack_request_in);
	pq_ack_request_out *out = PQ_OUT(pq_ack_request_out);
	u64 threshold = pq_min(pq_max(in->window / pq_max(in->datagram, 1) / per_trip, LEAST), MOST), last = in->last_threshold;
	if (!in->rtt_smoothed || (threshold < 2 * last && 2 * threshold > last)) return PQ_DEFER;
	u64 delay = pq_min(pq_max(in->rtt_smoothed / per_trip, floor_delay), in->max_delay);
	out->size = sizeof *out;
	out->threshold = (u32)threshold;
	out->reordering = in->reordering;
	out->delay = pq_max(delay, in->min_delay);
	return 0;
}

#define HOOKS(ON) ON(PQ_ATTACH, on_attach) ON(PQ_RTT_SAMPLE, on_rtt) ON(PQ_ACK_POLICY, on_ack_policy) ON(PQ_ACK_REQUEST, on_ack_request)
PQ_PLUGIN(HOOKS)
