// Kernels whose cost with and without fuel the benchmarks compare.
//
// clang-19 --target=wasm32 -O2 -nostdlib -msimd128 -mbulk-memory -fno-builtin -Wl,--no-entry -Wl,--strip-debug
//   -Wl,--initial-memory=131072 -Wl,--max-memory=1048576 -Wl,-z,stack-size=16384 -o kernels.wasm kernels.c

#include <stdint.h>
#include <wasm_simd128.h>

#define EXPORT(name) __attribute__((export_name(#name)))

static uint8_t a[4096] __attribute__((aligned(16))), b[4096] __attribute__((aligned(16))), log_[256], exp_[512];

EXPORT(nop) int64_t nop(int32_t op, int32_t arg) { return op + arg; }

EXPORT(fill) void fill(uint32_t seed, uint32_t n) {
	for (uint32_t i = 0; i < n; i++) {
		seed = seed * 1664525u + 1013904223u;
		a[i & 4095] = seed >> 24;
		b[i & 4095] = seed >> 16;
	}
}

EXPORT(sum) uint64_t sum(uint32_t n) {
	uint64_t h = 14695981039346656037u;
	for (uint32_t i = 0; i < n; i++) h = (h ^ a[i & 4095]) * 1099511628211u;
	return h;
}

EXPORT(xor64) void xor64(uint32_t n) {
	uint64_t *x = (uint64_t *)a, *y = (uint64_t *)b;
#pragma clang loop vectorize(disable) unroll(disable)
	for (uint32_t i = 0; i < n / 8; i++) x[i] ^= y[i];
}

EXPORT(xor128) void xor128(uint32_t n) {
	v128_t *x = (v128_t *)a, *y = (v128_t *)b;
#pragma clang loop unroll(disable)
	for (uint32_t i = 0; i < n / 16; i++) x[i] = wasm_v128_xor(x[i], y[i]);
}

EXPORT(gf_init) void gf_init(void) {
	uint32_t v = 1;
	for (int i = 0; i < 255; i++) {
		exp_[i] = exp_[i + 255] = v;
		log_[v] = i;
		v <<= 1;
		if (v & 256) v ^= 0x11d;
	}
}

EXPORT(gf_muladd) void gf_muladd(uint32_t n, uint32_t c) {
	for (uint32_t i = 0; i < n; i++)
		if (b[i & 4095]) a[i & 4095] ^= exp_[log_[b[i & 4095]] + log_[c & 255]];
}

EXPORT(gf_simd) void gf_simd(uint32_t n, uint32_t c) {
	uint8_t lo[16], hi[16];
	for (int i = 0; i < 16; i++) {
		lo[i] = i && c ? exp_[log_[i] + log_[c & 255]] : 0;
		hi[i] = i && c ? exp_[log_[i << 4] + log_[c & 255]] : 0;
	}
	v128_t l = wasm_v128_load(lo), h = wasm_v128_load(hi), m = wasm_i8x16_splat(15);
	for (uint32_t i = 0; i < n / 16; i++) {
		v128_t y = wasm_v128_load(b + 16 * i);
		v128_t p = wasm_v128_xor(wasm_i8x16_swizzle(l, wasm_v128_and(y, m)), wasm_i8x16_swizzle(h, wasm_u8x16_shr(y, 4)));
		wasm_v128_store(a + 16 * i, wasm_v128_xor(wasm_v128_load(a + 16 * i), p));
	}
}

static uint64_t window = 12000, ssthresh = ~0ull, acked;

EXPORT(newreno) uint64_t newreno(uint32_t bytes, uint32_t lost) {
	if (lost) {
		ssthresh = window / 2 > 2400 ? window / 2 : 2400;
		return window = ssthresh;
	}
	if (window < ssthresh) return window += bytes;
	acked += bytes;
	if (acked >= window) {
		acked -= window;
		window += 1200;
	}
	return window;
}

EXPORT(copy) void copy(uint32_t n) { __builtin_memcpy(a, b, n & 4095); }

static double cube_root(double x) {
	double y = x > 1 ? x / 3 : 1;
	for (int i = 0; i < 20; i++) y -= (y * y * y - x) / (3 * y * y);
	return y;
}

EXPORT(cubic) uint64_t cubic(uint32_t t, uint32_t max) {
	double k = cube_root(max * 0.3 / 0.4), d = t / 1000.0 - k;
	return (uint64_t)(0.4 * d * d * d + max);
}

static int odd(uint32_t n);
__attribute__((noinline)) static int even(uint32_t n) { return n == 0 ? 1 : odd(n - 1) + (int)(n & 0); }
__attribute__((noinline)) static int odd(uint32_t n) { return n == 0 ? 0 : even(n - 1); }
EXPORT(parity) int parity(uint32_t n) { return even(n % 100); }

static uint32_t inc(uint32_t x) { return x + 1; }
static uint32_t dbl(uint32_t x) { return x * 2; }
static uint32_t half(uint32_t x) { return x / 3; }
static uint32_t (*const steps[])(uint32_t) = {inc, dbl, half};

EXPORT(pointers) uint32_t pointers(uint32_t x, uint32_t n) {
	for (uint32_t i = 0; i < (n & 63); i++) x = steps[(x ^ i) % 3](x);
	return x;
}

EXPORT(dispatch) int64_t dispatch(int32_t op, int32_t arg) {
	switch (op) {
	case 1: return newreno(arg, 0);
	case 2: return newreno(0, 1);
	case 3: xor128(arg & 4095); return 0;
	case 4: return (int64_t)cubic(arg, 40000);
	case 5: return pointers(arg, arg >> 8);
	case 6: return arg ? 1000000007 / arg : -2;
	case 7: return arg * 3 + 1;
	case 8: return parity(arg);
	case 20: return __builtin_popcount(arg);
	case 21: return __builtin_clz(arg | 1);
	default: return -1;
	}
}
