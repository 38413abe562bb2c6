/* Telemetry: watches a connection and changes nothing. It asks the connection for its counters every so often instead of following every
 * packet, so that it costs next to nothing, and keeps what counters cannot tell: the distribution of round-trip times and of the time that
 * streams take, and how losses come together. */
#include "pq.h"

enum { /* metrics, as in manifest.json */
	RTT_P50, RTT_P95, RTT_MAX, LOST, BURSTS, LONGEST_BURST, STREAMS, FINISHED, RESETS, STREAM_P50, STREAM_P95, WINDOW, MAX_WINDOW, IN_FLIGHT, METRICS
};
#define SAMPLE 1      /* timer */
#define REPORT 1      /* app_call, emit */

/* A histogram with four buckets for each power of two of microseconds: quantiles are right to a fifth. */
#define BUCKETS 128
typedef struct { u32 n, bucket[BUCKETS]; u64 most; } histogram;

static u32 bucket_of(u64 ns) {
	u64 us = ns / 1000;
	if (us < 4) return (u32)us;
	u32 log = 63 - (u32)__builtin_clzll(us), b = log * 4 - 4 + (u32)(us >> (log - 2) & 3);
	return b < BUCKETS ? b : BUCKETS - 1;
}

/* The middle of a bucket, in microseconds. */
static u64 value_of(u32 b) {
	if (b < 4) return b;
	u32 log = (b + 4) / 4;
	u64 low = 1ull << log | (u64)(b & 3) << (log - 2);
	return low + (1ull << (log - 2)) / 2;
}

static void add(histogram *h, u64 ns) {
	h->n++;
	h->bucket[bucket_of(ns)]++;
	h->most = pq_max(h->most, ns);
}

static u64 quantile(const histogram *h, u32 percent) {
	u64 want = ((u64)h->n * percent + 99) / 100, seen = 0;
	if (h->n == 0) return 0;
	for (u32 b = 0; b < BUCKETS; b++)
		if ((seen += h->bucket[b]) >= want) return value_of(b);
	return value_of(BUCKETS - 1);
}

static histogram rtt, stream_time;
static u64 interval;               /* setting, nanoseconds */
static u32 armed;
static u64 lost, bursts, longest, burst, last_lost;
static u64 streams, finished, resets, most_window;

/* Streams that are open, by a hash of their number; one that finds its place taken is not timed. */
#define OPEN 256
static struct { u64 stream, since; } open_streams[OPEN];

static i64 on_attach(u32 arg) {
	interval = (u64)pq_setting(0) * 1000000;
	return 0;
}

/* Only a connection on which something happens is sampled: one at rest stays at rest. */
static void arm(void) {
	if (!armed && pq_timer_set(SAMPLE, pq_now() + interval) >= 0) armed = 1;
}

static i64 on_rtt(u32 arg) {
	add(&rtt, PQ_IN(pq_rtt_in)->latest);
	arm();
	return 0;
}

/* Losses of neighbouring packet numbers are one burst. */
static i64 on_lost(u32 arg) {
	u64 pn = PQ_IN(pq_packet_fate_in)->pn;
	burst = lost && pn == last_lost + 1 ? burst + 1 : 1;
	bursts += burst == 1;
	longest = pq_max(longest, burst);
	last_lost = pn;
	lost++;
	arm();
	return 0;
}

static i64 on_stream(u32 event) {
	u64 id = PQ_IN(pq_stream_event_in)->stream;
	u32 at = (u32)((id >> 2 ^ id << 6) % OPEN);
	switch (event) {
	case PQ_STREAM_OPENED:
		streams++;
		if (open_streams[at].since == 0) open_streams[at].stream = id, open_streams[at].since = pq_now();
		break;
	case PQ_STREAM_RESET:
		resets++;
		break;
	case PQ_STREAM_OVER:
		finished++;
		if (open_streams[at].since && open_streams[at].stream == id) {
			add(&stream_time, pq_now() - open_streams[at].since);
			open_streams[at].since = 0;
		}
	}
	arm();
	return 0;
}

static void measure(u64 *m) {
	m[RTT_P50] = quantile(&rtt, 50);
	m[RTT_P95] = quantile(&rtt, 95);
	m[RTT_MAX] = rtt.most / 1000;
	m[LOST] = lost;
	m[BURSTS] = bursts;
	m[LONGEST_BURST] = longest;
	m[STREAMS] = streams;
	m[FINISHED] = finished;
	m[RESETS] = resets;
	m[STREAM_P50] = quantile(&stream_time, 50);
	m[STREAM_P95] = quantile(&stream_time, 95);
	m[WINDOW] = (u64)pq_get(PQ_GET_WINDOW, 0);
	m[IN_FLIGHT] = (u64)pq_get(PQ_GET_IN_FLIGHT, 0);
	most_window = pq_max(most_window, m[WINDOW]);
	m[MAX_WINDOW] = most_window;
}

static void publish(void) {
	u64 m[METRICS];
	measure(m);
	for (u32 i = 0; i < METRICS; i++) pq_count(i, (i64)m[i]);
	pq_emit(REPORT, m, sizeof m);
}

static i64 on_timer(u32 id) {
	armed = 0;
	publish();
	return 0;
}

/* app_call 1: the numbers of the manifest's metrics, 8 bytes each. */
static i64 on_call(u32 op) {
	if (op != REPORT || pq_write_cap() < 8 * METRICS) return 0;
	measure((u64 *)pq_write());
	return 8 * METRICS;
}

static i64 on_state(u32 arg) {
	if (PQ_IN(pq_state_in)->to >= 3) publish(); /* closing: the last words */
	return 0;
}

#define HOOKS(ON)                                                                                                     \
	ON(PQ_ATTACH, on_attach) ON(PQ_STATE_CHANGED, on_state) ON(PQ_TIMER, on_timer) ON(PQ_APP_CALL, on_call)           \
	ON(PQ_RTT_SAMPLE, on_rtt) ON(PQ_PACKET_LOST, on_lost) ON(PQ_STREAM_EVENT, on_stream)
PQ_PLUGIN(HOOKS)
