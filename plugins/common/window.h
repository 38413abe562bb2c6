/* window.h: what NewReno and CUBIC share: the window, HyStart++ (RFC 9406), one reduction per round trip.
 * The arithmetic is that of the built-in controllers, step by step: a test compares them. */
#ifndef WINDOW_H
#define WINDOW_H
#include "pq.h"

#define PATHS 8 /* of a connection at one time */
#define NEVER 0x7fffffffffffffffll

typedef struct {
	u64 round; /* that cur and samples belong to */
	i64 last, cur; /* smallest samples of the previous and the present round */
	i32 samples;
	i64 baseline; /* cur when conservative slow start began; 0 = not in it */
	i32 css_rounds;
} hystart;

typedef struct {
	i64 mss, size, ssthresh; /* bytes */
	u64 recovery;            /* when the last reduction was */
	u32 touched;             /* grew or fell since it was the initial window */
	hystart hy;
	i64 saved_size, saved_ssthresh; /* before the last reduction */
	u64 saved_recovery;
} window;

static inline i64 min64(i64 a, i64 b) { return a < b ? a : b; }
static inline i64 max64(i64 a, i64 b) { return a > b ? a : b; }

/* RFC 9002 7.2: ten datagrams, limited to the larger of 14720 bytes or twice the datagram size. */
static inline i64 initial_window(i64 mss) { return min64(10 * mss, max64(14720, 2 * mss)); }
static inline i64 minimum_window(const window *w) { return 2 * w->mss; }
static inline u32 in_slow_start(const window *w) { return w->size < w->ssthresh; }

/* A path that has history begins with the window that the built-in controller has. */
static inline void window_init(window *w, const pq_cc_init_in *in) {
	pq_zero(w, sizeof *w);
	w->mss = (i64)in->datagram;
	w->size = in->window ? (i64)in->window : initial_window(w->mss);
	w->touched = w->size != initial_window(w->mss);
	w->ssthresh = NEVER;
}

static inline i64 hystart_on_ack(hystart *h, const pq_acked *a, u32 *done) {
	*done = 0;
	if (h->round == 0) {
		pq_zero(h, sizeof *h);
		h->round = a->round;
		h->last = h->cur = NEVER;
	}
	if (a->round != h->round) {
		h->last = h->cur;
		h->cur = NEVER;
		h->samples = 0;
		h->round = a->round;
		if (h->baseline != 0) *done = ++h->css_rounds >= 5; /* CSS_ROUNDS */
	}
	if (a->flags & 2) {
		h->cur = min64(h->cur, (i64)a->rtt_latest);
		h->samples++;
	}
	if (h->samples >= 8 && h->cur != NEVER) { /* N_RTT_SAMPLE */
		if (h->baseline != 0) {
			/* RFC 9406 4.2: round trips shrank again: slow start was left too early. */
			if (h->cur < h->baseline) h->baseline = 0, h->css_rounds = 0;
		} else if (h->last != NEVER) {
			i64 threshold = max64(4000000, min64(h->last / 8, 16000000));
			if (h->cur >= h->last + threshold) h->baseline = h->cur, h->css_rounds = 0;
		}
	}
	return h->baseline != 0 ? 4 : 1; /* CSS_GROWTH_DIVISOR */
}

/* RFC 9002 7.3.2, 7.8: no growth for what was sent before the recovery period, nor when the window is not filled. */
static inline u32 may_grow(const window *w, const pq_acked *a) {
	return a->largest_sent > w->recovery && !(a->flags & 1) && a->bytes > 0;
}

static inline void slow_start(window *w, const pq_acked *a) {
	u32 ended = 0;
	i64 divisor = 1;
	w->touched = 1;
	if (w->ssthresh == NEVER) divisor = hystart_on_ack(&w->hy, a, &ended);
	w->size += (i64)a->bytes / divisor;
	if (ended) w->ssthresh = w->size;
}

static inline void reduce(window *w, u64 now, i64 size) {
	w->touched = 1;
	w->saved_size = w->size;
	w->saved_ssthresh = w->ssthresh;
	w->saved_recovery = w->recovery;
	w->recovery = now;
	w->size = w->ssthresh = max64(size, minimum_window(w));
}

/* RFC 9002 7.6.2: persistent congestion. */
static inline void collapse(window *w) {
	w->touched = 1;
	w->size = minimum_window(w);
	w->recovery = 0;
	pq_zero(&w->hy, sizeof w->hy);
}

/* Returns whether there was anything to give back. */
static inline u32 undo(window *w) {
	w->recovery = w->saved_recovery;
	if (w->size >= w->saved_size) return 0;
	w->size = w->saved_size;
	w->ssthresh = w->saved_ssthresh;
	return 1;
}

static inline void mtu_changed(window *w, i64 datagram) {
	w->mss = datagram;
	if (!w->touched) w->size = initial_window(datagram);
	w->size = max64(w->size, minimum_window(w));
}

static inline i64 answer(const window *w) { return pq_control((u64)w->size, 0, in_slow_start(w)); }

#endif
