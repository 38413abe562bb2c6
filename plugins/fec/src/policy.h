/* policy.h: when repairs are sent, and how many. */

enum {
	QUEUE = 16,        /* limit: repairs that wait to be written */
	BUDGET_UNIT = 64,  /* the budget counts parts of a repair, so many each */
	BUDGET_FIRST = 4,  /* repairs that may be sent before anything was earned */
	BUDGET_MOST = 16,  /* limit: repairs that can be saved */
	BUDGET_SHARE = 16, /* what each protected packet earns at least: a quarter of a repair */
	TIMER_FLUSH = 0,
	MILLISECOND = 1000000
};

/* A repair that waits. */
typedef struct { u32 token, key, count; u64 first; } waiting_repair;

static waiting_repair queue[QUEUE];
static struct {
	u32 queued;
	u32 key;      /* of the next repair of a window */
	u32 credit;   /* policy full, of a window: r for each symbol, k are a repair */
	u32 budget;   /* policy tail: in parts of a repair */
	u64 flushed;  /* when the last tail was protected */
	u32 timer;    /* it runs */
	u64 rtt, asked; /* smoothed round-trip time, and when it was asked for */
} policy;

static void policy_init(void) {
	pq_zero(&policy, sizeof policy);
	policy.budget = BUDGET_FIRST * BUDGET_UNIT;
}

static u32 windowed(void) { return cfg[CFG_FRAMEWORK] == FRAMEWORK_WINDOW; }

/* smoothed_rtt asks the connection at most once in 4 ms. */
static u64 smoothed_rtt(void) {
	if (policy.rtt == 0 || pq_now() > policy.asked + 4 * MILLISECOND) {
		i64 rtt = pq_get(PQ_GET_SMOOTHED_RTT, 0);
		policy.rtt = rtt > 0 ? (u64)rtt : 333 * MILLISECOND;
		policy.asked = pq_now();
	}
	return policy.rtt;
}

/* urgent reports whether what is lost now would come too late if it were sent again: half a round trip until the next packet arrives, one and
 * an eighth until the loss is known here (RFC 9002 section 6.1.2, half of it is the same), half until the second try arrives. */
static u32 urgent(void) { return smoothed_rtt() * 13 / 8 > (u64)cfg[CFG_DEADLINE] * MILLISECOND; }

static u32 root(u32 x) {
	u32 r = 0;
	for (u32 bit = 1u << 15; bit; bit >>= 1)
		if ((r + bit) * (r + bit) <= x) r += bit;
	return r;
}

/* repairs_for says how many repairs n source symbols get: in proportion, or as many losses as are to be expected and twice their standard
 * deviation. At least one; never more than r for each k, as a whole, with the fixed rate, than symbols with the measured one. */
static u32 repairs_for(u32 n) {
	u32 r;
	if (cfg[CFG_RATE] == RATE_FIXED) {
		r = (n * cfg[CFG_R] + cfg[CFG_K] - 1) / cfg[CFG_K];
	} else {
		u32 mean = n * (tx.lost * 1024 / tx.seen); /* 10 bits of fraction */
		r = (mean + 2 * root(mean << 10) + 1023) >> 10;
		r = pq_min(r, n);
	}
	return pq_max(1, pq_min(r, QUEUE));
}

static void forget(u32 i) {
	for (policy.queued--; i < policy.queued; i++) queue[i] = queue[i + 1];
}

/* ask reserves room for one repair of count symbols from first. */
static void ask(u64 first, u32 count, u32 key) {
	if (policy.queued == QUEUE) {
		pq_cancel(queue[0].token);
		forget(0);
	}
	i64 token = pq_reserve(FRAME_REPAIR, REPAIR_HEAD + tx_longest(first, count), 0);
	if (token <= 0) return;
	queue[policy.queued++] = (waiting_repair){.token = (u32)token, .key = key, .count = count, .first = first};
}

/* protect asks for r repairs of what was not in one yet; with a window, of all that is in it. */
static void protect(u32 r) {
	u64 first = pq_max(tx.done, tx.base);
	u32 count = (u32)(tx.next - first);
	tx.done = tx.next;
	tx.fresh = 0;
	if (count == 0) return;
	if (windowed()) {
		first = pq_max(tx.base, tx.next - pq_min(tx.next, cfg[CFG_WINDOW]));
		count = (u32)(tx.next - first);
	}
	for (u32 j = 0; j < r; j++) {
		u32 key = cfg[CFG_SCHEME] == SCHEME_XOR ? r << 8 | j : j;
		ask(first, count, cfg[CFG_SCHEME] == SCHEME_RLC ? policy.key++ & 0xffff : key);
	}
}

/* unprotected counts the source symbols that are neither settled nor in a repair. */
static u32 unprotected(void) { return (u32)(tx.next - pq_max(tx.done, tx.base)); }

/* steadily is the policy full: r repairs for each k symbols; a window sends them spread out. */
static void steadily(void) {
	u32 k = cfg[CFG_K], r = cfg[CFG_RATE] == RATE_FIXED ? cfg[CFG_R] : repairs_for(k);
	if (!windowed()) {
		if (tx.next - tx.done < k) return;
		tx_news();
		protect(repairs_for(unprotected()));
		return;
	}
	policy.credit += r;
	if (policy.credit < k) return;
	tx_news();
	protect(policy.credit / k);
	policy.credit %= k;
}

/* flush protects a tail. One now and then is due to everybody; who ends often must have earned more, so that many little messages are
 * protected together. */
static void flush(void) {
	if (tx.fresh == 0) return;
	tx_news();
	u32 r = repairs_for(unprotected());
	u64 due = policy.flushed + smoothed_rtt() / 4;
	if (policy.budget < r * BUDGET_UNIT && policy.flushed > 0 && pq_now() < due) {
		if (!policy.timer) policy.timer = pq_timer_set(TIMER_FLUSH, due) == 0;
		return;
	}
	policy.budget -= pq_min(policy.budget, r * BUDGET_UNIT);
	policy.flushed = pq_now();
	policy.credit = 0;
	protect(r);
}

/* policy_sent follows a new source symbol, after which so many bytes wait to be sent for the first time. */
static void policy_sent(u32 streams, u64 waiting) {
	u32 share = pq_max(BUDGET_SHARE, cfg[CFG_R] * BUDGET_UNIT / cfg[CFG_K]);
	if (streams) policy.budget = pq_min(policy.budget + share, BUDGET_MOST * BUDGET_UNIT);
	if (cfg[CFG_POLICY] == POLICY_DEADLINE && !urgent()) {
		tx.done = tx.next;
		tx.fresh = 0;
		return;
	}
	if (cfg[CFG_POLICY] != POLICY_TAIL && streams) steadily();
	if (waiting == 0) flush();
}

static i64 on_timer(u32 id) {
	policy.timer = 0;
	flush();
	return 0;
}

/* policy_write writes the repair that was reserved as token. What the peer has by now is left out if nothing depends on the position. */
static i64 policy_write(u32 token, u8 *out, u32 room, u64 pn) {
	u32 i = 0;
	while (i < policy.queued && queue[i].token != token) i++;
	if (i == policy.queued) return 0;
	tx_news();
	waiting_repair w = queue[i];
	u64 end = w.first + w.count;
	if (end <= tx.base || w.first + TX_RING < tx.next) { /* the peer has it all, or it is no longer here */
		forget(i);
		return 0;
	}
	if (cfg[CFG_SCHEME] == SCHEME_RLC) w.first = pq_max(w.first, tx.base);
	u32 n = tx_write_repair(out, room, w.first, (u32)(end - w.first), w.key);
	if (n == 0) return PQ_DEFER; /* the congestion window is almost full, or an ACK is in the way */
	forget(i);
	tx.busy = pn + 1;
	pq_count(METRIC_REPAIRS_SENT, 1);
	return n;
}
