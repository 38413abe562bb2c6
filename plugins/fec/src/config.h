/* config.h: the settings, an array of little-endian 64-bit integers in the order of the manifest. */

enum { POLICY_TAIL, POLICY_FULL, POLICY_DEADLINE, POLICIES };
enum { FRAMEWORK_AUTO, FRAMEWORK_WINDOW, FRAMEWORK_BLOCK, FRAMEWORKS };
enum { RATE_AUTO, RATE_FIXED, RATES };
enum { CFG_SCHEME, CFG_FRAMEWORK, CFG_POLICY, CFG_RATE, CFG_K, CFG_R, CFG_WINDOW, CFG_DEADLINE, CFG_EFFORT, CFG_FIELDS };

static const struct { u32 min, max, def; } config_fields[CFG_FIELDS] = {
	[CFG_SCHEME] = {0, SCHEMES - 1, SCHEME_RLC},
	[CFG_FRAMEWORK] = {0, FRAMEWORKS - 1, FRAMEWORK_AUTO},
	[CFG_POLICY] = {0, POLICIES - 1, POLICY_TAIL},
	[CFG_RATE] = {0, RATES - 1, RATE_AUTO},
	[CFG_K] = {1, MAX_COUNT, 25},
	[CFG_R] = {1, 16, 5},
	[CFG_WINDOW] = {1, MAX_COUNT, MAX_COUNT},
	[CFG_DEADLINE] = {1, 60000, 150},
	[CFG_EFFORT] = {1, 100000, 40},
};

static u32 cfg[CFG_FIELDS];

/* config_read takes the settings that are there, and the defaults for the rest: a host of another version may know fewer. It returns 0 if
 * one is out of range. */
static u32 config_read(const u8 *p, u32 n) {
	for (u32 i = 0; i < CFG_FIELDS; i++) {
		u64 v = config_fields[i].def;
		if (8 * i + 8 <= n) __builtin_memcpy(&v, p + 8 * i, 8);
		if (v < config_fields[i].min || v > config_fields[i].max) return 0;
		cfg[i] = (u32)v;
	}
	if (cfg[CFG_FRAMEWORK] == FRAMEWORK_AUTO) cfg[CFG_FRAMEWORK] = cfg[CFG_SCHEME] == SCHEME_RLC ? FRAMEWORK_WINDOW : FRAMEWORK_BLOCK;
	/* Rows of a Cauchy matrix over windows that overlap are not independent. */
	return cfg[CFG_SCHEME] == SCHEME_RLC || cfg[CFG_FRAMEWORK] == FRAMEWORK_BLOCK;
}
