/* BBRv3 (draft-ietf-ccwg-bbr) as a plugin: the same decisions as the built-in controller of that name. */
#include "bbr.h"

#define PATHS 8
static bbr paths[PATHS];
#define HERE (&paths[pq_path() % PATHS])

static i64 answer(const bbr *b) { return pq_control((u64)b->window, (u64)dmax(1, b->rate), 0); }

static void save_window(bbr *b) {
	b->prior_window = b->conserving == 0 && b->state != PROBE_RTT ? b->window : imax(b->prior_window, b->window);
}

static void forget_round(bbr *b) {
	b->loss_in_round = b->marked = 0;
	b->loss_runs = 0;
	b->lost_bytes = b->ce_bytes = 0;
}

/* The windowed maximum of Kathleen Nichols: three candidates, each younger than the one before. */
static void extra_add(bbr *b, double value, u64 window) {
	candidate *best = b->extra, now = {b->round, value};
	for (int i = 0; i < 3; i++)
		if (value >= best[i].value) {
			for (; i < 3; i++) best[i] = now;
			break;
		}
	for (int n = 0; n < 3 && b->round - best[0].round >= window; n++) best[0] = best[1], best[1] = best[2], best[2] = now;
	if (best[1].round == best[0].round && b->round - best[1].round >= window / 4 && b->round != best[0].round) {
		best[1] = now;
		best[2] = now;
	} else if (best[2].round == best[1].round && b->round - best[2].round >= window / 2 && b->round != best[1].round) {
		best[2] = now;
	}
}

static void start_down(bbr *b) {
	forget_round(b);
	b->bw_latest = b->inflight_latest = 0;
	b->per_inc = UNLIMITED;
	/* 5.3.3.5.3: by chance, so that flows that share a bottleneck do not probe together. */
	b->since_up = (i64)(b->luck >> 63);
	b->wait = PROBE_WAIT + (b->luck >> 33) % SECOND;
	b->cycle_at = b->s.now;
	b->phase = PROBE_STOPPING;
	start_round(b);
	b->state = DOWN;
}

static void start_refill(bbr *b) {
	reset_short_term(b);
	b->up_rounds = 0;
	b->up_acked = 0;
	b->prev_cautious = 0;
	b->phase = REFILLING;
	start_round(b);
	b->state = REFILL;
}

static void raise_slope(bbr *b) {
	double growth = (double)(1ull << b->up_rounds);
	b->up_rounds = b->up_rounds + 1 < 30 ? b->up_rounds + 1 : 30;
	b->per_inc = dmax((double)b->window / growth, (double)b->mss);
}

static void start_up(bbr *b) {
	b->probe_sample = 1;
	b->phase = PROBE_STARTING;
	start_round(b);
	reset_full_bw(b);
	b->full_bw = b->s.rate;
	b->state = UP;
	raise_slope(b);
}

static void take(bbr *b, const pq_acked *a) {
	b->touched = 1;
	b->luck = (b->luck ^ pq_now()) * 6364136223846793005ull + a->delivered;
	b->s.now = pq_now();
	b->s.sent_at = a->largest_sent;
	b->s.delivered = (double)a->rate_bytes;
	b->s.acked = (i64)a->bytes;
	b->s.in_flight = (double)a->in_flight;
	b->s.limited = (a->flags & 8) || a->largest_sent <= b->limited_till;
	b->s.tx = (double)a->tx_in_flight;
	b->s.lost = (double)a->lost_since;
	b->s.rate = a->rate_interval > 0 ? (double)a->rate_bytes / seconds(a->rate_interval) : 0;
	if (b->min_rtt == UNLIMITED && (a->flags & 2)) init_rate(b, a->rtt_smoothed);
	if (b->conserving && a->largest_sent > b->conserving) {
		/* 5.6.4.4: at the end of loss recovery the window is again what it was. */
		b->conserving = 0;
		b->window = imax(b->window, b->prior_window);
	}
}

static void update_latest(bbr *b) {
	b->bw_latest = dmax(b->bw_latest, b->s.rate);
	b->inflight_latest = dmax(b->inflight_latest, b->s.delivered);
	b->loss_round_start = b->s.sent_at >= b->loss_round_at;
	if (b->loss_round_start) b->loss_round_at = b->s.now;
}

static void count_round(bbr *b) {
	b->round_start = b->s.sent_at >= b->round_at;
	if (!b->round_start) return;
	start_round(b);
	b->round++;
	b->since_up++;
	b->filled_last = b->filled;
	b->filled = 0;
}

static void check_startup_loss(bbr *b) {
	i64 marks = (i64)b->ce_bytes / b->mss;
	if (b->state != STARTUP || !b->loss_in_round || b->loss_runs + marks < FULL_LOSSES || !too_much(b, b->s.lost + b->ce_bytes, b->s.tx)) return;
	b->undo.left = 1;
	b->undo.state = STARTUP;
	b->full_reached = 1;
	b->inflight_long = dmax(product(b, 1), b->inflight_latest);
}

static void update_congestion(bbr *b, const pq_acked *a) {
	count_round(b);
	if (b->s.rate > 0 && (b->s.rate >= max_bandwidth(b) || !b->s.limited)) b->max_bw[1] = dmax(b->max_bw[1], b->s.rate);
	b->ce_bytes += (double)((i64)a->ce * b->mss);
	if (!b->loss_round_start) return;
	check_startup_loss(b);
	if (!accelerating(b) && (b->marked || too_much(b, b->lost_bytes, b->s.tx))) {
		if (b->bw_short == UNLIMITED) b->bw_short = max_bandwidth(b);
		if (b->inflight_short == UNLIMITED) b->inflight_short = (double)b->window;
		b->bw_short = dmax(b->bw_latest, BETA * b->bw_short);
		b->inflight_short = dmax(b->inflight_latest, BETA * b->inflight_short);
	}
	forget_round(b);
}

static void update_extra_acked(bbr *b) {
	double expected = b->bw * seconds(b->s.now - b->extra_start);
	if (b->extra_delivered <= expected) {
		b->extra_start = b->s.now;
		b->extra_delivered = expected = 0;
	}
	b->extra_delivered += (double)b->s.acked;
	extra_add(b, dmin(b->extra_delivered - expected, (double)b->window), b->full_reached ? EXTRA_ROUNDS : 1);
}

static void check_full_pipe(bbr *b) {
	if (b->full_now || !b->round_start || b->s.limited || b->s.rate == 0) return;
	if (b->s.rate >= b->full_bw * FULL_GROWTH) {
		reset_full_bw(b);
		b->full_bw = b->s.rate;
		return;
	}
	b->full_now = ++b->full_count >= FULL_ROUNDS;
	b->full_reached |= b->full_now;
}

static void raise_long_term(bbr *b) {
	if (!window_limited(b) || !at_long_term(b)) return;
	b->up_acked += (double)b->s.acked;
	double steps = __builtin_floor(b->up_acked / b->per_inc);
	if (steps >= 1) {
		b->up_acked -= steps * b->per_inc;
		b->inflight_long += steps * (double)b->mss;
	}
	if (b->round_start) raise_slope(b);
}

/* Returns whether the state changed. */
static u32 adapt_long_term(bbr *b) {
	if (b->phase == PROBE_STARTING && b->round_start) b->phase = PROBE_FEEDBACK;
	if (b->phase == PROBE_STOPPING && b->round_start) {
		b->probe_sample = 0;
		b->phase = INIT;
		if (probing_bandwidth(b) && !b->s.limited && b->max_bw[1] > 0) {
			b->max_bw[0] = b->max_bw[1];
			b->max_bw[1] = 0;
		}
		if (probing_bandwidth(b) && b->prev_cautious && !b->prev_too_high) {
			start_refill(b);
			return 1;
		}
	}
	if (too_much(b, b->s.lost, b->s.tx) || b->inflight_long == UNLIMITED) return 0;
	b->inflight_long = dmax(b->inflight_long, b->s.tx);
	if (b->state == UP) raise_long_term(b);
	return 0;
}

static u32 time_to_probe(bbr *b) {
	i64 rounds = imin((i64)target(b) / b->mss, RENO_ROUNDS);
	if (b->s.now <= b->cycle_at + b->wait && b->since_up < rounds) return 0;
	start_refill(b);
	return 1;
}

static u32 time_to_go_down(bbr *b) {
	if (b->prev_too_high && b->s.in_flight >= b->inflight_long) {
		b->prev_cautious = 1; /* 5.3.3.4 */
		return 1;
	}
	if (window_limited(b) && at_long_term(b)) {
		reset_full_bw(b); /* the bound, not the path, holds the rate down */
		b->full_bw = b->s.rate;
		return 0;
	}
	return b->full_now;
}

static void cycle(bbr *b) {
	if (!b->full_reached || adapt_long_term(b)) return;
	switch (b->state) {
	case DOWN:
		if (!time_to_probe(b) && b->s.in_flight <= with_headroom(b) && b->s.in_flight <= inflight(b, max_bandwidth(b) * b->min_rtt)) b->state = CRUISE;
		break;
	case CRUISE:
		time_to_probe(b);
		break;
	case REFILL:
		if (b->round_start) start_up(b);
		break;
	case UP:
		if (time_to_go_down(b)) {
			b->prev_too_high = 0;
			start_down(b);
		}
	}
}

static void update_min_rtt(bbr *b, const pq_acked *a) {
	b->min_rtt_expired = b->min_rtt_at != 0 && b->s.now > b->min_rtt_at + MIN_RTT_AGE;
	if (b->min_rtt_expired && b->state != PROBE_RTT) b->probe_rtt_window = dmax(product(b, gains[PROBE_RTT].window), min_pipe(b));
	double rtt = seconds(a->rtt_latest);
	if ((a->flags & 2) && (rtt < b->min_rtt || b->min_rtt_expired)) {
		b->min_rtt = rtt;
		b->min_rtt_at = b->s.now;
	}
}

static void check_probe_rtt_done(bbr *b) {
	if (!b->probe_rtt_end || b->s.now <= b->probe_rtt_end) return;
	b->min_rtt_at = b->s.now;
	b->window = imax(b->window, b->prior_window);
	reset_short_term(b);
	if (!b->full_reached) {
		b->state = STARTUP;
		return;
	}
	start_down(b);
	b->state = CRUISE;
}

static void hold_probe_rtt(bbr *b) {
	b->limited_till = b->s.now;
	if (!b->probe_rtt_end) {
		if (b->s.in_flight <= b->probe_rtt_window) {
			b->probe_rtt_end = b->s.now + PROBE_RTT_TIME;
			b->probe_rtt_round = 0;
			start_round(b);
		}
		return;
	}
	b->probe_rtt_round |= b->round_start;
	if (b->probe_rtt_round) check_probe_rtt_done(b);
}

static void check_probe_rtt(bbr *b) {
	if (b->state != PROBE_RTT && b->min_rtt_expired && !b->idle_restart) {
		save_window(b);
		b->state = PROBE_RTT;
		b->probe_rtt_end = 0;
		b->phase = PROBE_STOPPING;
		start_round(b);
	}
	if (b->state == PROBE_RTT) hold_probe_rtt(b);
	b->idle_restart = 0;
}

/* 5.6.4.6, 5.6.4.7 */
static void set_window(bbr *b, const pq_acked *a) {
	double limit = inflight(b, product(b, gains[b->state].window) + b->extra[0].value), w = (double)b->window;
	if (b->full_reached)
		w = dmin(w + (double)a->bytes, limit);
	else if (w < limit || a->delivered < (u64)b->initial)
		w += (double)a->bytes;
	w = dmax(w, min_pipe(b));
	if (b->state == PROBE_RTT) w = dmin(w, b->probe_rtt_window);
	double most = UNLIMITED;
	if (b->state == DOWN || b->state == REFILL || b->state == UP) most = b->inflight_long;
	if (b->state == CRUISE || b->state == PROBE_RTT) most = with_headroom(b);
	b->window = (i64)dmin(w, dmax(dmin(most, b->inflight_short), min_pipe(b)));
}

static i64 on_init(u32 arg) {
	const pq_cc_init_in *in = PQ_IN(pq_cc_init_in);
	bbr *b = HERE;
	pq_zero(b, sizeof *b);
	b->mss = (i64)in->datagram;
	b->initial = initial_window(b->mss);
	b->window = in->window ? (i64)in->window : b->initial;
	b->touched = b->window != b->initial;
	b->min_rtt = b->inflight_long = b->per_inc = UNLIMITED;
	b->probe_rtt_window = (double)b->initial;
	reset_short_term(b);
	init_rate(b, 1000000); /* 5.6.2: before the first sample, as if the round trip were a millisecond */
	b->luck = 0x9e3779b97f4a7c15ull;
	return answer(b);
}

static i64 on_ack(u32 arg) {
	const pq_acked *a = PQ_IN(pq_acked);
	bbr *b = HERE;
	if (a->bytes == 0) return answer(b);
	take(b, a);
	update_latest(b);
	update_congestion(b, a);
	update_extra_acked(b);
	check_full_pipe(b);
	if (b->state == STARTUP && b->full_reached) b->state = DRAIN, b->drain_round = b->round;
	if (b->state == DRAIN && (b->s.in_flight <= inflight(b, product(b, 1)) || b->round > b->drain_round + 3)) start_down(b);
	cycle(b);
	update_min_rtt(b, a);
	check_probe_rtt(b);
	if (b->loss_round_start) b->bw_latest = b->s.rate, b->inflight_latest = b->s.delivered;
	b->bw = dmin(max_bandwidth(b), b->bw_short);
	set_rate(b, gains[b->state].pacing);
	set_window(b, a);
	return answer(b);
}

static i64 on_sent(u32 arg) {
	const pq_cc_sent_in *s = PQ_IN(pq_cc_sent_in);
	bbr *b = HERE;
	if ((i64)s->in_flight + b->mss > b->window) b->filled = 1;
	if (s->in_flight != s->bytes) return answer(b);
	/* 5.4.1: from idle, begin at the bandwidth known. */
	b->idle_restart = 1;
	b->extra_start = pq_now();
	b->extra_delivered = 0;
	if (probing_bandwidth(b)) set_rate(b, 1);
	if (b->state == PROBE_RTT) {
		b->s.now = pq_now();
		check_probe_rtt_done(b);
	}
	return answer(b);
}

static void judge_probe(bbr *b, const pq_lost *l) {
	double tx = (double)l->tx_in_flight, lost = (double)l->lost_since, size = (double)l->bytes;
	u32 marks = l->flags & 2;
	if (!marks && !too_much(b, lost, tx)) return;
	if (!marks) {
		/* 5.5.10.2: at what volume in flight did the losses pass the threshold? */
		double before = dmax(tx - size, 0);
		tx = before + dmax((LOSS_THRESH * before - (lost - size)) / (1 - LOSS_THRESH), 0);
	}
	b->s.tx = tx;
	b->s.limited = (l->flags & 4) != 0;
	b->prev_too_high = 1;
	b->probe_sample = 0;
	if (!b->s.limited) b->inflight_long = dmax(b->s.tx, target(b) * BETA);
	if (b->state == UP) {
		b->undo.left = 1;
		b->undo.state = UP;
		start_down(b);
	}
}

static i64 on_loss(u32 arg) {
	const pq_lost *l = PQ_IN(pq_lost);
	bbr *b = HERE;
	b->s.now = pq_now();
	if (!b->loss_in_round) {
		b->loss_round_at = pq_now();
		save_window(b);
		b->undo.left = b->undo.state = 0;
		b->undo.bw_short = b->bw_short;
		b->undo.inflight_short = b->inflight_short;
		b->undo.inflight_long = b->inflight_long;
	}
	b->loss_in_round = 1;
	b->loss_runs += (i64)l->runs;
	b->lost_bytes += (double)l->bytes;
	b->marked |= (l->flags & 2) != 0;
	if (b->probe_sample) judge_probe(b, l);
	if (l->flags & 1) { /* RFC 9002 7.6.2 */
		save_window(b);
		b->window = 2 * b->mss;
		b->conserving = pq_now();
	}
	return answer(b);
}

/* 5.5.11.2: gives back what an episode of loss took. */
static i64 on_spurious(u32 arg) {
	bbr *b = HERE;
	u32 left = b->undo.left, state = b->undo.state;
	b->s.now = pq_now();
	b->undo.left = 0;
	b->window = imax(b->window, b->prior_window);
	b->loss_in_round = 0;
	reset_full_bw(b);
	b->bw_short = dmax(b->bw_short, b->undo.bw_short);
	b->inflight_short = dmax(b->inflight_short, b->undo.inflight_short);
	b->inflight_long = dmax(b->inflight_long, b->undo.inflight_long);
	if (!left || state == b->state) return answer(b);
	if (state == STARTUP) b->full_reached = 0;
	if (b->state == PROBE_RTT) return answer(b);
	if (state == STARTUP)
		b->state = STARTUP;
	else
		start_refill(b);
	return answer(b);
}

static i64 on_mtu(u32 arg) {
	bbr *b = HERE;
	b->mss = (i64)PQ_IN(pq_cc_mtu_in)->datagram;
	if (!b->touched) b->window = b->initial = initial_window(b->mss);
	b->window = imax(b->window, 2 * b->mss);
	return answer(b);
}

#define HOOKS(ON)                                                                                                     \
	ON(PQ_CC_INIT, on_init) ON(PQ_CC_ACK, on_ack) ON(PQ_CC_LOSS, on_loss) ON(PQ_CC_SENT, on_sent)                     \
	ON(PQ_CC_SPURIOUS, on_spurious) ON(PQ_CC_MTU, on_mtu)
PQ_PLUGIN(HOOKS)
