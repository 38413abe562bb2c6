/* CUBIC (RFC 9438) with HyStart++ as a plugin: the same decisions as the built-in controller. The curve is kept in bytes. */
#include "window.h"

#define C 0.4
#define BETA 0.7
#define ALPHA 0.52941176470588235294 /* 3 (1 - BETA) / (1 + BETA) */

typedef struct {
	u64 epoch;   /* when this stage of congestion avoidance began, moved on by idle time; 0 = not begun */
	double max;  /* W_max */
	double prior;/* cwnd_prior */
	double k;    /* seconds from epoch until the curve reaches max */
	double reno; /* W_est */
	double rest; /* growth that is not a whole byte yet */
} curve;

static struct {
	window w;
	curve c, before; /* before: the last reduction */
	u64 last_news;
} paths[PATHS];
#define HERE (&paths[pq_path() % PATHS])

static double dmax(double a, double b) { return a > b ? a : b; }
static double dmin(double a, double b) { return a < b ? a : b; }
static double seconds(i64 ns) { return (double)(ns / 1000000000) + (double)(ns % 1000000000) / 1e9; }

/* cbrt by Newton's method from a guess that is a third of the exponent. */
static double cbrt_(double x) {
	if (!(x > 0)) return 0;
	union { double d; u64 u; } g = {x};
	g.u = g.u / 3 + 0x2a9f7893782da1ceull;
	for (int i = 0; i < 5; i++) g.d -= (g.d * g.d * g.d - x) / (3 * g.d * g.d);
	return g.d;
}

/* RFC 9438 5.8: idle time is not part of the epoch. */
static void pause(u64 now) {
	if (HERE->c.epoch && HERE->last_news) HERE->c.epoch = pq_min(now, HERE->c.epoch + (now - HERE->last_news));
	HERE->last_news = now;
}

static i64 on_init(u32 arg) {
	pq_zero(HERE, sizeof *HERE);
	window_init(&HERE->w, PQ_IN(pq_cc_init_in));
	return answer(&HERE->w);
}

static i64 on_sent(u32 arg) {
	const pq_cc_sent_in *s = PQ_IN(pq_cc_sent_in);
	if (s->in_flight == s->bytes) pause(pq_now());
	return answer(&HERE->w);
}

static void begin(u64 now) {
	curve *c = &HERE->c;
	double size = (double)HERE->w.size;
	c->epoch = now;
	c->reno = size;
	c->rest = 0;
	if (c->max <= size) { /* RFC 9438 4.10, 4.8: the curve begins at its plateau */
		c->max = size;
		c->k = 0;
		return;
	}
	c->k = cbrt_((c->max - size) / (double)HERE->w.mss / C);
}

static double w_cubic(double t) {
	double d = t - HERE->c.k;
	return C * d * d * d * (double)HERE->w.mss + HERE->c.max;
}

static void avoid(const pq_acked *a) {
	window *w = &HERE->w;
	curve *c = &HERE->c;
	double size = (double)w->size + c->rest, t = seconds((i64)(pq_now() - c->epoch)), share = (double)a->bytes / size;
	/* RFC 9438 4.3: W_est grows by alpha segments a window; by one once it has passed cwnd_prior. */
	c->reno += (c->reno >= c->prior ? 1 : ALPHA) * share * (double)w->mss;
	double grown = c->reno;
	if (w_cubic(t) >= c->reno) {
		/* RFC 9438 4.4, 4.5: towards W_cubic(t + RTT), by at most half a window a round trip. */
		double target = dmin(dmax(w_cubic(t + seconds((i64)a->rtt_smoothed)), size), 1.5 * size);
		grown = size + (target - size) * share;
	}
	grown = dmax(grown, size);
	w->size = (i64)grown;
	c->rest = grown - (double)w->size;
}

static i64 on_ack(u32 arg) {
	const pq_acked *a = PQ_IN(pq_acked);
	window *w = &HERE->w;
	if (a->flags & 1) pause(pq_now());
	HERE->last_news = pq_now();
	if (may_grow(w, a)) {
		if (in_slow_start(w)) {
			slow_start(w, a);
		} else {
			if (!HERE->c.epoch) begin(pq_now());
			avoid(a);
		}
	}
	return answer(w);
}

/* The plateau of the next curve; RFC 9438 4.7: fast convergence gives way to newer flows. */
static void remember(void) {
	curve *c = &HERE->c;
	double size = (double)HERE->w.size;
	HERE->before = *c;
	c->epoch = 0;
	c->prior = size;
	c->max = size < c->max ? size * (1 + BETA) / 2 : size;
}

static i64 on_loss(u32 arg) {
	const pq_lost *l = PQ_IN(pq_lost);
	window *w = &HERE->w;
	if (l->largest_sent > w->recovery) {
		remember();
		reduce(w, pq_now(), (i64)((double)w->size * BETA));
	}
	if (l->flags & 1) {
		collapse(w);
		HERE->c.epoch = 0;
		HERE->c.max = 0;
	}
	return answer(w);
}

static i64 on_spurious(u32 arg) {
	if (undo(&HERE->w)) HERE->c = HERE->before;
	return answer(&HERE->w);
}

static i64 on_mtu(u32 arg) {
	mtu_changed(&HERE->w, (i64)PQ_IN(pq_cc_mtu_in)->datagram);
	return answer(&HERE->w);
}

#define HOOKS(ON)                                                                                                     \
	ON(PQ_CC_INIT, on_init) ON(PQ_CC_ACK, on_ack) ON(PQ_CC_LOSS, on_loss) ON(PQ_CC_SENT, on_sent)                     \
	ON(PQ_CC_SPURIOUS, on_spurious) ON(PQ_CC_MTU, on_mtu)
PQ_PLUGIN(HOOKS)
