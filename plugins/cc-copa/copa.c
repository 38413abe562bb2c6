/* Copa (Arun, Balakrishnan: "Copa: Practical Delay-Based Congestion Control for the Internet", NSDI 2018) as a plugin.
 *
 * The sender aims at the rate 1 / (delta dq) packets a second, where dq is what packets wait in queues: the standing round-trip time
 * less the least one. Its window moves towards that, at a velocity that doubles while the direction stays the same. Beside senders
 * that fill queues whatever the delay it becomes more demanding (delta falls), until the queue empties again.
 *
 * What the paper leaves open, and what is done here: loss ends slow start and, beside queue fillers, halves 1/delta; persistent
 * congestion (RFC 9002 7.6) means the least window; the window never exceeds twice what was in flight before an acknowledgment. */
#include "pq.h"

#define PATHS 8
#define SECOND 1000000000ull
#define DELTA 0.5           /* the default mode's */
#define MIN_RTT_AGE (10 * SECOND)
#define MODE_ROUNDS 5       /* the queue must empty within so many round trips */

static i64 imax(i64 a, i64 b) { return a > b ? a : b; }
static double dmax(double a, double b) { return a > b ? a : b; }
static double dmin(double a, double b) { return a < b ? a : b; }

/* An extreme over a window of time: of the running and of the previous half of it, so that it is between half and all of the window old. */
typedef struct {
	u64 since;
	u64 previous, present; /* 0 = none */
} extreme;

static u64 better(u64 a, u64 b, u32 least) {
	if (a == 0 || b == 0) return a | b;
	return (a < b) == (least != 0) ? a : b;
}

static u64 keep(extreme *e, u64 now, u64 value, u64 span, u32 least) {
	if (now - e->since > span / 2) {
		e->previous = now - e->since > span ? 0 : e->present;
		e->present = 0;
		e->since = now;
	}
	e->present = better(e->present, value, least);
	return better(e->previous, e->present, least);
}

typedef struct {
	i64 mss;
	double window;
	double velocity;
	double delta;
	extreme least, standing, most;
	u32 slow_start, competing;
	u64 round;           /* hook's count, of the window's last comparison */
	double window_then;  /* at its beginning */
	u32 up, same;        /* direction, and for how many round trips */
	u64 emptied;         /* when the queue was last seen nearly empty */
	u64 recovery;        /* losses of packets sent before are one event */
	u32 lost_in_round;
	double rate;
} copa;

static copa paths[PATHS];
#define HERE (&paths[pq_path() % PATHS])

static i64 answer(const copa *c) { return pq_control((u64)c->window, (u64)c->rate, c->slow_start); }

static i64 on_init(u32 arg) {
	const pq_cc_init_in *in = PQ_IN(pq_cc_init_in);
	copa *c = HERE;
	pq_zero(c, sizeof *c);
	c->mss = (i64)in->datagram;
	c->window = in->window ? (double)in->window : (double)(10 * c->mss);
	c->velocity = 1;
	c->delta = DELTA;
	c->slow_start = 1;
	c->emptied = pq_now();
	return answer(c);
}

/* Once a round trip: the velocity, and in competitive mode delta. */
static void next_round(copa *c, u64 round) {
	c->round = round;
	u32 up = c->window > c->window_then;
	if (up == c->up) {
		c->same++;
	} else {
		c->same = 0;
		c->velocity = 1;
	}
	/* Paper, 2.3: it doubles after three round trips in the same direction. */
	if (c->same >= 3) c->velocity = dmin(c->velocity * 2, dmax(1, c->delta * c->window / (double)c->mss));
	c->up = up;
	c->window_then = c->window;
	if (c->competing && !c->lost_in_round) c->delta = 1 / (1 / c->delta + 1); /* additive increase of 1/delta */
	c->lost_in_round = 0;
}

/* Paper, 2.2: beside queue fillers the queue never empties. */
static void choose_mode(copa *c, u64 now, u64 least, u64 standing, u64 most, u64 srtt) {
	if (standing <= least + (most - least) / 10) c->emptied = now;
	u32 competing = now - c->emptied > MODE_ROUNDS * srtt;
	if (competing != c->competing) c->delta = DELTA;
	c->competing = competing;
}

static i64 on_ack(u32 arg) {
	const pq_acked *a = PQ_IN(pq_acked);
	copa *c = HERE;
	u64 now = pq_now(), srtt = a->rtt_smoothed;
	if (!(a->flags & 4)) return answer(c);
	u64 sample = a->flags & 2 ? a->rtt_latest : 0;
	u64 least = keep(&c->least, now, sample, MIN_RTT_AGE, 1);
	u64 standing = keep(&c->standing, now, sample, srtt / 2, 1);
	u64 most = keep(&c->most, now, sample, 4 * srtt, 0);
	if (!standing) standing = srtt;
	if (!least || least > standing) least = standing;
	if (most < standing) most = standing;
	choose_mode(c, now, least, standing, most, srtt);

	/* Target in bytes: standing / (delta dq) packets. A queue of less than a tenth of a packet's time is none. */
	double dq = (double)(standing - least), packets = c->window / (double)c->mss;
	double target = dq > 0 ? (double)standing / (c->delta * dq) * (double)c->mss : 1e18;
	if (a->flags & 1) return answer(c); /* RFC 9002 7.8: the window was not used */
	if (c->slow_start && c->window > target) {
		c->slow_start = 0;
		c->window_then = c->window;
		c->round = a->round;
	}
	if (c->slow_start) {
		c->window += (double)a->bytes;
	} else {
		if (a->round != c->round) next_round(c, a->round);
		u32 up = c->window <= target;
		if (up != c->up) c->velocity = 1;
		double step = c->velocity * (double)a->bytes / (c->delta * packets);
		step = dmin(step, (double)a->bytes); /* at most double in a round trip */
		c->window += up ? step : -step;
	}
	double most_useful = 2 * (double)imax((i64)a->prior_in_flight, 10 * c->mss);
	c->window = dmax(dmin(c->window, most_useful), (double)(2 * c->mss));
	c->rate = 2 * c->window / ((double)standing / 1e9); /* paper, 2.1: pace at twice the window per standing RTT */
	return answer(c);
}

static i64 on_loss(u32 arg) {
	const pq_lost *l = PQ_IN(pq_lost);
	copa *c = HERE;
	if (l->largest_sent > c->recovery) {
		c->recovery = pq_now();
		c->lost_in_round = 1;
		if (c->competing) c->delta = dmin(1 / dmax(1 / c->delta / 2, 1 / DELTA), DELTA);
		if (c->slow_start) {
			c->slow_start = 0;
			c->window = dmax(c->window / 2, (double)(2 * c->mss));
			c->window_then = c->window;
		}
	}
	if (l->flags & 1) {
		c->window = (double)(2 * c->mss);
		c->velocity = 1;
		c->rate = 0;
	}
	return answer(c);
}

static i64 on_mtu(u32 arg) {
	copa *c = HERE;
	c->mss = (i64)PQ_IN(pq_cc_mtu_in)->datagram;
	c->window = dmax(c->window, (double)(2 * c->mss));
	return answer(c);
}

#define HOOKS(ON) ON(PQ_CC_INIT, on_init) ON(PQ_CC_ACK, on_ack) ON(PQ_CC_LOSS, on_loss) ON(PQ_CC_MTU, on_mtu)
PQ_PLUGIN(HOOKS)
