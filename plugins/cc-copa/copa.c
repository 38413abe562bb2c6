/* Copa (Arun, Balakrishnan: "Copa: Practical Delay-Based Congestion Control for the Internet", NSDI 2018) as a plugin.
 *
 * The sender aims at the rate 1 / (delta dq) packets a second, where dq is what packets wait in queues: the standing round-trip time
 * less the least one. Its window moves towards that, at a velocity that doubles while the direction stays the same. Beside senders
 * that fill queues whatever the delay it becomes more demanding (delta falls), until the queue empties again.
 *
 * What the paper leaves open: loss ends slow start and, in competitive mode, halves 1/delta; persistent congestion (RFC 9002 7.6) means the
 * least window. Where this departs from it, each for what it did in simulation:
 *  - After slow start the window is what the path holds without a queue, and a little less, so that the queue drains. At two packets a round
 *    trip that would take so long that it passed for a competitor's.
 *  - The queue has ten round trips, not five, to empty before there is a competitor: two senders of this kind took each other for one.
 *  - A packet and a half of our own is no queue. Acknowledgments come for two packets, of which the second waits for the first.
 *  - Round-trip times are those of full packets, less what the peer waited with the acknowledgment: small packets pass a narrow link faster.
 *  - It asks the peer for an acknowledgment of every second packet: behind a longer train one would see the queue of its own train.
 *  - When the least round-trip time rises, because what it was measured from is too old, half of the window is left empty for two round trips:
 *    beside a queue filler, and long after, the least one would be that of a standing queue.
 *  - While packets are lost it paces at about the window a round trip: a queue of a few packets has no room for trains of twice the rate. */
#include "pq.h"

#define PATHS 8
#define SECOND 1000000000ull
#define DELTA 0.5           /* the default mode's */
#define MIN_RTT_AGE (10 * SECOND)
#define MODE_ROUNDS 10      /* the queue must empty within so many round trips */
#define PACE 2              /* paper, 2.1: windows per standing round-trip time */
#define CALM_PACE 1.05      /* while packets are lost: the queue may be too short for trains */
#define DRAINED 0.85        /* of what the path seems to hold, after slow start */
#define OWN_QUEUE 1.5       /* packets of ours that are no queue yet */
#define SMALL_QUEUE 20000000ull /* nanoseconds that packets of ours may wait at the least, and count as no queue */
#define ACK_EVERY 2         /* packets: what we ask the peer for */

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
	u64 rtt_least, rtt_standing, rtt_most; /* of these, as of the last sample; 0 = none yet */
	u32 slow_start, competing;
	u32 full;           /* the packets of the last acknowledgment were */
	u32 sized;          /* the round-trip times are those of full packets */
	u64 round;          /* hook's count, of the last comparison of windows */
	double window_then; /* at its beginning */
	u32 up, same;       /* direction, and for how many round trips */
	u64 probe;          /* until then half of the window is used, to see the path without a queue */
	u64 heard;          /* when the last sample came */
	u64 emptied;        /* when the queue was last seen nearly empty */
	u64 recovery;       /* losses of packets sent before are one event */
	u32 lost_in_round;
	u64 calm;           /* until then the queue seems too short for trains */
	double rate;
} copa;

static copa paths[PATHS];
#define HERE (&paths[pq_path() % PATHS])

static double least_window(const copa *c) { return (double)(2 * c->mss); }

static i64 answer(const copa *c) {
	double window = pq_now() < c->probe ? dmax(c->window / 2, least_window(c)) : c->window;
	return pq_control((u64)window, (u64)c->rate, c->slow_start);
}

static double packets(const copa *c) { return c->window / (double)c->mss; }

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

/* Takes a sample of the round-trip time, of the acknowledgment that on_ack has just heard of. What the peer waited with it is no queue. Small
 * packets pass a narrow link faster than full ones: beside them every full packet would seem to have queued, so they count only as long as
 * there is nothing else. */
static i64 on_rtt(u32 arg) {
	const pq_rtt_in *r = PQ_IN(pq_rtt_in);
	copa *c = HERE;
	if (!c->full && c->rtt_least) return 0;
	u64 now = pq_now(), rtt = r->latest;
	if (c->full && !c->sized) {
		c->sized = 1;
		c->rtt_least = 0;
		pq_zero(&c->least, 3 * sizeof c->least);
	}
	u64 before = c->rtt_least;
	c->rtt_least = keep(&c->least, now, rtt, MIN_RTT_AGE, 1); /* RFC 9002 5.2: never less than was measured */
	if (before && c->rtt_least > before + before / 32) c->probe = now + 2 * r->smoothed;
	rtt = pq_max(rtt > r->ack_delay ? rtt - r->ack_delay : 0, c->rtt_least);
	c->rtt_standing = keep(&c->standing, now, rtt, r->smoothed / 2, 1);
	c->rtt_most = keep(&c->most, now, rtt, 4 * r->smoothed, 0);
	c->rtt_least = pq_min(c->rtt_least, c->rtt_standing);
	if (now - c->heard > MODE_ROUNDS * r->smoothed) c->emptied = now; /* at rest nothing was to be seen */
	c->heard = now;
	return 0;
}

/* Paper, 2.2: beside queue fillers the queue never empties. What is less than a packet or two is no queue: that is what pacing leaves. */
static void choose_mode(copa *c, u64 now, u64 srtt) {
	u64 own = (u64)(OWN_QUEUE * (double)c->rtt_standing / packets(c));
	u64 empty = pq_max((c->rtt_most - c->rtt_least) / 10, pq_min(own, pq_max(c->rtt_least / 4, SMALL_QUEUE)));
	if (c->rtt_standing - c->rtt_least <= empty) c->emptied = now;
	u32 competing = now - c->emptied > MODE_ROUNDS * srtt;
	if (competing != c->competing) c->delta = DELTA;
	c->competing = competing;
}

/* Once a round trip: the velocity, and in competitive mode delta. Paper, 2.1: it doubles after three round trips in the same direction. */
static void next_round(copa *c, u64 round) {
	u32 up = c->window > c->window_then;
	c->round = round;
	c->same = up == c->up ? c->same + 1 : 0;
	c->up = up;
	c->velocity = c->same >= 3 ? dmin(c->velocity * 2, dmax(1, c->delta * packets(c))) : 1;
	c->window_then = c->window;
	if (c->competing && !c->lost_in_round) c->delta = 1 / (1 / c->delta + 1); /* additive increase of 1/delta */
	c->lost_in_round = 0;
}

static void leave_slow_start(copa *c, double window, u64 round) {
	c->slow_start = 0;
	c->window = c->window_then = dmax(window, least_window(c));
	c->round = round;
	c->up = c->same = 0;
}

/* Moves the window towards target. Paper, 2.1: by velocity / delta packets a round trip. */
static void move(copa *c, const pq_acked *a, double target) {
	if (a->round != c->round) next_round(c, a->round);
	u32 up = c->window <= target;
	if (up != c->up) {
		c->velocity = 1;
		c->same = 0;
		c->up = up;
	}
	if (up && (a->flags & 1)) return; /* RFC 9002 7.8: the window was not used */
	double step = dmin(c->velocity * (double)a->bytes / (c->delta * packets(c)), (double)a->bytes); /* at most double in a round trip */
	c->window += up ? step : -step;
}

static i64 on_ack(u32 arg) {
	const pq_acked *a = PQ_IN(pq_acked);
	copa *c = HERE;
	c->full = a->bytes * 10 >= a->packets * (u64)c->mss * 9;
	if (!c->rtt_least) { /* on_rtt comes after the first acknowledgment */
		if (!(a->flags & 1)) c->window += (double)a->bytes;
		return answer(c);
	}
	choose_mode(c, pq_now(), a->rtt_smoothed);

	/* Target in bytes: standing / (delta dq) packets. */
	double queued = (double)(c->rtt_standing - c->rtt_least);
	double target = queued > 0 ? (double)c->rtt_standing / (c->delta * queued) * (double)c->mss : 1e18;
	if (c->slow_start && c->window > target)
		leave_slow_start(c, DRAINED * c->window * (double)c->rtt_least / (double)c->rtt_standing, a->round);
	if (!c->slow_start)
		move(c, a, target);
	else if (!(a->flags & 1))
		c->window += (double)a->bytes;
	c->window = dmax(c->window, least_window(c));
	double pace = pq_now() < c->calm ? CALM_PACE : PACE;
	c->rate = pace * c->window / ((double)c->rtt_standing / 1e9);
	return answer(c);
}

static i64 on_loss(u32 arg) {
	const pq_lost *l = PQ_IN(pq_lost);
	copa *c = HERE;
	if (l->largest_sent > c->recovery) {
		c->recovery = pq_now();
		c->lost_in_round = 1;
		c->calm = c->recovery + MODE_ROUNDS * c->rtt_standing;
		if (c->competing) c->delta = dmin(2 * c->delta, DELTA);
		if (c->slow_start) leave_slow_start(c, c->window / 2, c->round);
	}
	if (l->flags & 1) {
		c->window = least_window(c);
		c->velocity = 1;
		c->rate = 0;
	}
	return answer(c);
}

static i64 on_mtu(u32 arg) {
	copa *c = HERE;
	c->mss = (i64)PQ_IN(pq_cc_mtu_in)->datagram;
	c->window = dmax(c->window, least_window(c));
	return answer(c);
}

/* Asks for news often: behind a train of packets that one acknowledgment is for, what the train itself queued would hide the path's queue. */
static i64 on_ack_request(u32 arg) {
	const pq_ack_request_in *in = PQ_IN(pq_ack_request_in);
	if (!in->rtt_smoothed || in->last_threshold == ACK_EVERY) return PQ_DEFER;
	pq_ack_request_out *out = PQ_OUT(pq_ack_request_out);
	out->size = sizeof *out;
	out->threshold = ACK_EVERY;
	out->reordering = in->reordering;
	out->delay = pq_max(pq_min(in->rtt_smoothed / 4, in->max_delay), in->min_delay);
	return 0;
}

#define HOOKS(ON) ON(PQ_ACK_REQUEST, on_ack_request) ON(PQ_RTT_SAMPLE, on_rtt) ON(PQ_CC_INIT, on_init) ON(PQ_CC_ACK, on_ack) ON(PQ_CC_LOSS, on_loss) ON(PQ_CC_MTU, on_mtu)
PQ_PLUGIN(HOOKS)
