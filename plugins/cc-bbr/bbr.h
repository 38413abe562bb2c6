/* bbr.h: the model of BBRv3 (draft-ietf-ccwg-bbr). The names are those of the built-in controller, whose decisions these are;
 * the draft's names stand beside the fields. Volumes are bytes, rates bytes per second. */
#ifndef BBR_H
#define BBR_H
#include "pq.h"

#define MARGIN 0.99      /* PacingMarginPercent */
#define LOSS_THRESH 0.02 /* more loss than this share means too much in flight ... */
#define LOSS_FLOOR 2     /* ... if it is more than so many datagrams */
#define BETA 0.7
#define HEADROOM 0.15
#define MIN_PIPE 4
#define FULL_GROWTH 1.25
#define FULL_ROUNDS 3
#define FULL_LOSSES 6
#define EXTRA_ROUNDS 10
#define SECOND 1000000000ull
#define MIN_RTT_AGE (10 * SECOND)
#define PROBE_RTT_TIME (SECOND / 5)
#define PROBE_WAIT (2 * SECOND)
#define RENO_ROUNDS 63
#define MAX_QUANTUM 65536.0
#define UNLIMITED (__builtin_inf())

enum state { STARTUP, DRAIN, DOWN, CRUISE, REFILL, UP, PROBE_RTT };
enum phase { INIT, REFILLING, PROBE_STARTING, PROBE_FEEDBACK, PROBE_STOPPING };

typedef struct { u64 round; double value; } candidate;

typedef struct {
	i64 mss, window, initial;
	double rate; /* C.pacing_rate */
	u32 touched;
	u32 state;
	u64 luck; /* mixed from what happens */

	struct { /* RS: what the present event tells */
		u64 now, sent_at;
		double rate, delivered, tx, lost, in_flight;
		u32 limited;
		i64 acked;
	} s;

	/* rounds */
	u64 round_at, round, drain_round, limited_till;
	u32 round_start, filled, filled_last;
	i64 since_up; /* rounds_since_probe_up */

	/* bandwidth */
	double max_bw[2], bw_short, bw, bw_latest, full_bw;
	i32 full_count;
	u32 full_now, full_reached;

	/* volume */
	double inflight_long, inflight_short, inflight_latest;
	u64 extra_start;
	double extra_delivered;
	candidate extra[3];
	u64 loss_round_at;
	u32 loss_round_start, loss_in_round, marked;
	i64 loss_runs;
	double lost_bytes, ce_bytes;
	u64 conserving; /* persistent congestion: what was sent until then is being recovered */
	i64 prior_window;

	/* probes for bandwidth */
	u32 phase, probe_sample, prev_too_high, prev_cautious;
	double up_acked, per_inc;
	u32 up_rounds;
	u64 wait, cycle_at;

	/* least round trip */
	double min_rtt; /* seconds */
	u64 min_rtt_at, probe_rtt_end;
	u32 min_rtt_expired, idle_restart, probe_rtt_round;
	double probe_rtt_window;

	struct { u32 left, state; double bw_short, inflight_short, inflight_long; } undo;
} bbr;

static const struct { double pacing, window; } gains[] = {
	[STARTUP] = {2.77, 2}, [DRAIN] = {0.5, 2}, [DOWN] = {0.9, 2}, [CRUISE] = {1, 2}, [REFILL] = {1, 2}, [UP] = {1.25, 2.25}, [PROBE_RTT] = {1, 0.5},
};

static inline double dmax(double a, double b) { return a > b ? a : b; }
static inline double dmin(double a, double b) { return a < b ? a : b; }
static inline i64 imax(i64 a, i64 b) { return a > b ? a : b; }
static inline i64 imin(i64 a, i64 b) { return a < b ? a : b; }
static inline double seconds(u64 ns) { return (double)(ns / SECOND) + (double)(ns % SECOND) / 1e9; }
static inline i64 initial_window(i64 mss) { return imin(10 * mss, imax(14720, 2 * mss)); }

static inline double max_bandwidth(const bbr *b) { return dmax(b->max_bw[0], b->max_bw[1]); }
static inline double min_pipe(const bbr *b) { return (double)(MIN_PIPE * b->mss); }
static inline u32 window_limited(const bbr *b) { return b->filled || b->filled_last; }
static inline u32 accelerating(const bbr *b) { return b->state == STARTUP || b->state == REFILL || b->state == UP; }
static inline u32 probing_bandwidth(const bbr *b) { return b->state >= DOWN && b->state <= UP; }
static inline void start_round(bbr *b) { b->round_at = b->s.now; }
static inline void reset_full_bw(bbr *b) { b->full_bw = 0, b->full_count = 0, b->full_now = 0; }
static inline void reset_short_term(bbr *b) { b->bw_short = b->inflight_short = UNLIMITED; }

/* 5.6.2: from the initial window. */
static inline void init_rate(bbr *b, u64 rtt) { b->rate = gains[STARTUP].pacing * (double)b->initial / seconds(rtt); }

/* 5.6.2: until the pipe was full once the rate does not fall. */
static inline void set_rate(bbr *b, double gain) {
	double rate = gain * b->bw * MARGIN;
	if (rate > 0 && (b->full_reached || rate > b->rate)) b->rate = rate;
}

/* 5.6.4.2: gain times the bandwidth-delay product. */
static inline double product(const bbr *b, double gain) {
	return b->min_rtt == UNLIMITED ? (double)b->initial : gain * b->bw * b->min_rtt;
}

/* What must be in flight to use the path, for a product and what comes on top of it. 5.6.3: the quantum. */
static inline double inflight(const bbr *b, double p) {
	double quantum = dmax(dmin(b->rate * 0.001, MAX_QUANTUM), (double)(2 * b->mss));
	p = dmax(dmax(p, quantum), min_pipe(b));
	return b->state == UP ? p + (double)(2 * b->mss) : p;
}

static inline double target(const bbr *b) { return dmin(product(b, 1), (double)b->window); }

/* inflight_longterm less what is left to others. */
static inline double with_headroom(const bbr *b) {
	if (b->inflight_long == UNLIMITED) return UNLIMITED;
	return dmax(b->inflight_long - dmax((double)b->mss, HEADROOM * b->inflight_long), min_pipe(b));
}

static inline u32 at_long_term(const bbr *b) { return (double)b->window >= __builtin_floor(b->inflight_long); }

/* See tooMuch of the built-in controller for why two datagrams are taken for chance. */
static inline u32 too_much(const bbr *b, double lost, double tx) { return lost > dmax(tx * LOSS_THRESH, (double)(LOSS_FLOOR * b->mss)); }

#endif
