/* work.h: how much this end allows itself. A plugin that uses up the fuel of its connection is ended; this one does less before that: it protects
 * no more packets, and takes no more symbols, until time has passed. */

enum {
	/* What things cost, in units of fuel, rounded up. */
	WORK_SYMBOL = 1500, /* to number, keep and settle a source symbol, or to take one */
	WORK_SUM = 350,     /* to add one symbol to another */
	WORK_REPAIR = 8000, /* to take a repair, sums aside */
	WORK_SAVED = 50     /* limit: milliseconds of work that can be saved up */
};

static struct { i64 left; u64 at; } work;

static i64 work_most(void) { return (i64)cfg[CFG_EFFORT] * 1000 * WORK_SAVED; }

static void work_init(void) {
	work.left = work_most();
	work.at = pq_now();
}

static void work_spend(u32 fuel) { work.left -= fuel; }

/* work_short reports whether there is nothing left to spend. */
static u32 work_short(void) {
	if (work.left > 0) return 0;
	u64 passed = pq_min(pq_now() - work.at, 1000000000ull);
	work.left += (i64)(passed * cfg[CFG_EFFORT] / 1000);
	if (work.left > work_most()) work.left = work_most();
	work.at = pq_now();
	return work.left <= 0;
}
