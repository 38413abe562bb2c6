/* Watches a connection: counts lost packets and keeps the largest round-trip time. */
#include "pq.h"

enum { LOST, LARGEST_RTT }; /* metrics, as in manifest.json */
static u64 largest;

static i64 on_lost(u32 arg) {
	pq_count(LOST, 1);
	return 0;
}

static i64 on_rtt(u32 arg) {
	u64 rtt = PQ_IN(pq_rtt_in)->latest;
	if (rtt > largest) {
		largest = rtt;
		pq_count(LARGEST_RTT, (i64)(rtt / 1000));
	}
	return 0;
}

#define HOOKS(ON) ON(PQ_PACKET_LOST, on_lost) ON(PQ_RTT_SAMPLE, on_rtt)
PQ_PLUGIN(HOOKS)
