/* pq.h: what a Quiver plugin in C needs. ABI version 1.0, see docs/plugin-abi.md for the meaning of every word.
 *
 *   #include "pq.h"
 *   static i64 on_ack(u32 arg) { const pq_acked *a = PQ_IN(pq_acked); pq_control(window, 0, 0); return 0; }
 *   #define HOOKS(ON) ON(PQ_CC_ACK, on_ack)
 *   PQ_PLUGIN(HOOKS)
 *
 * A handler returns 0 or a value, PQ_DEFER to leave the decision to the connection, or PQ_FAIL, which ends the plugin.
 * Include this header in exactly one .c file. No libc is needed; see pq.mk for the flags. */
#ifndef PQ_H
#define PQ_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef int i32;
typedef unsigned long long u64;
typedef long long i64;

_Static_assert(sizeof(u64) == 8 && sizeof(u32) == 4 && sizeof(void *) == 4, "build with --target=wasm32");

#define PQ_ABI 0x10000
#define PQ_DEFER (-1)
#define PQ_FAIL (-7)

/* Errors of imports. */
#define PQ_EPERM (-2)     /* the manifest lacks the permission */
#define PQ_ELIMIT (-3)    /* a limit is reached */
#define PQ_ERANGE (-4)    /* an argument is out of range */
#define PQ_EINACTIVE (-5) /* the peer's half is not ready */
#define PQ_ETOKEN (-6)    /* no such reservation */

enum pq_op {
	PQ_ATTACH = 1, PQ_STATE_CHANGED = 2, PQ_DETACH = 3, PQ_TIMER = 4, PQ_APP_CALL = 5, PQ_TAKE_EVENT = 6,
	PQ_RX_DATAGRAM_META = 20, PQ_RX_PAYLOAD = 21, PQ_RX_DONE = 22,
	PQ_FRAME_PROCESS = 31, PQ_FRAME_WRITE = 32, PQ_FRAME_FATE = 33,
	PQ_TX_PACKET_BEGIN = 40, PQ_TX_PAYLOAD = 41, PQ_TX_SENT = 42,
	PQ_CC_INIT = 50, PQ_CC_ACK = 51, PQ_CC_LOSS = 52, PQ_CC_SENT = 53, PQ_CC_SPURIOUS = 54, PQ_CC_ROUND = 57, PQ_CC_MTU = 58,
	PQ_ACK_POLICY = 62, PQ_RTT_SAMPLE = 63, PQ_PACKET_LOST = 64, PQ_PACKET_ACKED = 65, PQ_ACK_REQUEST = 66,
	PQ_STREAM_NEXT = 70, PQ_STREAM_EVENT = 80, PQ_APP_DATA_SENT = 81, PQ_APP_DATA_DELIVERED = 82,
};

/* The context block. */
typedef struct {
	u32 size, abi;
	u64 now; /* nanoseconds on the connection's clock */
	u32 op, arg, path, flags;
	u32 view, view_len; /* bytes to read */
	u32 out, out_cap;   /* where to write */
	u64 spare[2];
} pq_head;

static _Alignas(8) u8 pq_block[4096];
static _Alignas(8) u8 pq_view_buffer[
#ifdef PQ_VIEW_BYTES
	PQ_VIEW_BYTES
#else
	3072
#endif
];
static _Alignas(8) u8 pq_out_buffer[1536];

#define PQ_HEAD ((const pq_head *)pq_block)
#define PQ_IN(T) ((const T *)(pq_block + 64))
#define PQ_OUT(T) ((T *)(pq_block + 2048))

#define PQ_SERVER (PQ_HEAD->flags & 1)
static inline u64 pq_now(void) { return PQ_HEAD->now; }
static inline u32 pq_path(void) { return PQ_HEAD->path; }
static inline const u8 *pq_view(void) { return (const u8 *)PQ_HEAD->view; }
static inline u32 pq_view_len(void) { return PQ_HEAD->view_len; }
static inline u8 *pq_write(void) { return (u8 *)PQ_HEAD->out; }
static inline u32 pq_write_cap(void) { return PQ_HEAD->out_cap; }

/* A setting of the manifest's config by its index, while PQ_ATTACH is handled. */
static inline i64 pq_setting(u32 i) { return 8 * i + 8 <= PQ_HEAD->view_len ? ((const i64 *)PQ_HEAD->view)[i] : 0; }

/* In-structs and out-structs, by operation. Every one begins with its size and flags. */
typedef struct { u32 size, flags, state, spare; } pq_attach_in;
typedef struct { u32 size, flags; u64 low, high; } pq_attach_out;
typedef struct { u32 size, flags, from, to; } pq_state_in;
typedef struct { u32 size, flags, ecn, bytes, socket, spare; } pq_datagram_in;
typedef struct { u32 size, flags; u64 pn; } pq_rx_payload_in;
typedef struct { u32 size, flags; u64 pn; u32 bytes, ecn; } pq_rx_done_in;                 /* flags: 1 ack-eliciting */
typedef struct { u32 size, flags; u64 pn; u32 before, before_len; } pq_frame_in;
typedef struct { u32 size, flags; u64 pn; u32 frame, room; u64 waiting; } pq_frame_write_in; /* flags: 1 rides along, 2 0-RTT, 4 stream data */
typedef struct { u32 size, flags, fate, spare; u64 rtt; } pq_fate_in;
typedef struct { u32 size, flags; u64 pn; u32 room, in_flight; u64 waiting; u32 window, spare; } pq_packet_begin_in; /* flags: 2 0-RTT */
typedef struct { u32 size, flags, reserve; i32 ride; u64 above; } pq_packet_begin_out; /* flags: 1 for the whole train; ride: frame + 1, 0 = none */
typedef struct { u32 size, flags; u64 pn, waiting; } pq_tx_payload_in; /* flags: 1 stream data, 2 0-RTT, 4 a frame of ours rides along, 8 reserved frames */
typedef struct { u32 size, flags; u64 pn; u32 bytes, in_flight; } pq_tx_sent_in;            /* flags: 1 ack-eliciting, 2 in flight */
typedef struct { u32 size, flags; u64 datagram, window, pacing; } pq_cc_init_in;
typedef struct {
	u32 size, flags; /* 1 application limited, 2 RTT sampled, 4 RTT has a sample, 8 rate sample application limited */
	u64 bytes, largest_sent, prior_in_flight, in_flight, tx_in_flight, lost_since, packets, ce;
	u64 rtt_latest, rtt_smoothed, rtt_var, rtt_min;
	u64 round, delivered, rate_bytes, rate_interval, core_window;
	u64 spare[7];
	u64 acks, duration; /* of a round: PQ_CC_ROUND */
} pq_acked;
_Static_assert(__builtin_offsetof(pq_acked, core_window) == 136 && __builtin_offsetof(pq_acked, acks) == 200, "layout");
typedef struct {
	u32 size, flags; /* 1 persistent congestion, 2 marks instead of loss, 4 application limited */
	u64 bytes, packets, runs, largest_sent, in_flight, tx_in_flight, lost_since;
} pq_lost;
typedef struct { u32 size, flags; u64 bytes, in_flight; } pq_cc_sent_in;
typedef struct { u32 size, flags; u64 datagram; } pq_cc_mtu_in;
typedef struct { u32 size, flags; u64 window, pacing; } pq_control_out; /* flags: 1 slow start */
typedef struct { u32 size, flags; u64 oldest; u32 eliciting, threshold; u64 max_delay; } pq_ack_in; /* flags: 1 reordered, 2 CE */
typedef struct { u32 size, flags; u64 at; } pq_ack_out;
typedef struct { u32 size, flags; u64 latest, smoothed, var, min, ack_delay; } pq_rtt_in;
typedef struct { u32 size, flags; u64 pn, sent; u32 bytes, spare; } pq_packet_fate_in;
typedef struct {
	u32 size, flags;
	u64 window, datagram, rtt_smoothed, rtt_min;
	u32 reordering, spare;
	u64 min_delay, max_delay;
	u32 last_threshold, last_reordering;
	u64 last_delay;
} pq_ack_request_in;
typedef struct { u32 size, flags, threshold, reordering; u64 delay; } pq_ack_request_out;
typedef struct { u64 id, bytes, sent; u32 fin, spare; } pq_ready;
typedef struct { u32 size, flags, room, spare; pq_ready ready[48]; } pq_streams_in;
typedef struct { u32 size, flags; u64 stream; } pq_stream_event_in;
typedef struct { u32 size, flags; u64 stream, offset; u32 bytes, spare; } pq_data_in; /* flags: 1 fin */

enum { PQ_FRAME_TAKEN, PQ_FRAME_IGNORED, PQ_FRAME_MALFORMED };
enum { PQ_ACKED, PQ_LOST, PQ_DROPPED };
enum { PQ_STREAM_OPENED, PQ_STREAM_FIN_SENT, PQ_STREAM_FIN_READ, PQ_STREAM_RESET, PQ_STREAM_OVER };
enum {
	PQ_GET_NOW, PQ_GET_SMOOTHED_RTT, PQ_GET_MIN_RTT, PQ_GET_LATEST_RTT, PQ_GET_RTT_VAR, PQ_GET_WINDOW, PQ_GET_IN_FLIGHT,
	PQ_GET_PACING_RATE, PQ_GET_DATAGRAM_SIZE, PQ_GET_SEND_QUEUE, PQ_GET_PACKETS_SENT, PQ_GET_PACKETS_LOST, PQ_GET_BYTES_SENT,
	PQ_GET_BYTES_RECEIVED, PQ_GET_PACKETS_ACKED, PQ_GET_OLDEST_PACKET,
};
#define PQ_URGENT 1 /* flags of pq_reserve */
#define PQ_WAIT 2

/* Imports: what a plugin may ask. Those it uses must be among the manifest's permissions. */
#define PQ_IMPORT(name) __attribute__((import_module("pq"), import_name(name)))
PQ_IMPORT("reserve") i64 pq_reserve(u32 frame, u32 size, u32 flags);
PQ_IMPORT("cancel") i32 pq_cancel(u32 token);
PQ_IMPORT("timer_set") i32 pq_timer_set(u32 id, u64 at);
PQ_IMPORT("timer_cancel") i32 pq_timer_cancel(u32 id);
PQ_IMPORT("emit") i32 pq_emit(u32 event, const void *p, u32 n);
PQ_IMPORT("count") i32 pq_count(u32 metric, i64 n);
PQ_IMPORT("log") i32 pq_log(const void *text, u32 n);
PQ_IMPORT("rand") i32 pq_rand(void *p, u32 n);
PQ_IMPORT("get") i64 pq_get(u32 field, u32 path);
PQ_IMPORT("event") i32 pq_event(const void *p, u32 n);
PQ_IMPORT("recovered") i32 pq_recovered(u32 path, u64 pn, const void *frames, u32 n);
PQ_IMPORT("delivered") i32 pq_delivered(u32 path, u64 pn);
PQ_IMPORT("xor") i32 pq_xor(void *dst, const void *src, u32 n);
PQ_IMPORT("gf256_muladd") i32 pq_gf256_muladd(void *dst, const void *src, u32 n, u32 c);
PQ_IMPORT("memcmp_ct") i32 pq_memcmp_ct(const void *a, const void *b, u32 n);

/* pq_control answers the operations of congestion control. pacing 0 leaves the rate to the connection. */
static inline i64 pq_control(u64 window, u64 pacing, u32 slow_start) {
	pq_control_out *o = PQ_OUT(pq_control_out);
	o->size = sizeof *o;
	o->flags = slow_start;
	o->window = window;
	o->pacing = pacing;
	return 0;
}

static inline void pq_copy(void *dst, const void *src, u32 n) { __builtin_memcpy(dst, src, n); }
static inline void pq_zero(void *dst, u32 n) { __builtin_memset(dst, 0, n); }
static inline u64 pq_min(u64 a, u64 b) { return a < b ? a : b; }
static inline u64 pq_max(u64 a, u64 b) { return a > b ? a : b; }

/* Varints (RFC 9000 section 16). pq_get_varint returns the bytes it read, 0 if there are too few. */
static inline u32 pq_get_varint(const u8 *p, u32 n, u64 *v) {
	if (n == 0) return 0;
	u32 len = 1u << (p[0] >> 6);
	if (n < len) return 0;
	u64 x = p[0] & 0x3f;
	for (u32 i = 1; i < len; i++) x = x << 8 | p[i];
	*v = x;
	return len;
}

static inline u32 pq_put_varint(u8 *p, u64 v) {
	u32 log = v < 1ull << 6 ? 0 : v < 1ull << 14 ? 1 : v < 1ull << 30 ? 2 : 3, len = 1u << log;
	for (u32 i = len; i-- > 0; v >>= 8) p[i] = (u8)v;
	p[0] |= log << 6;
	return len;
}

/* PQ_PLUGIN makes the exports. HOOKS(ON) lists ON(operation, handler); a handler is i64 f(u32 arg). */
#define PQ_EXPORT(name) __attribute__((export_name(name), used))
#define PQ_LOW_(op, f) | ((op) < 64 ? 1ull << ((op) & 63) : 0)
#define PQ_HIGH_(op, f) | ((op) < 64 ? 0 : 1ull << ((op) & 63))
#define PQ_CASE_(op, f) case op: return f(arg);
#define PQ_PLUGIN(HOOKS)                                                                              \
	PQ_EXPORT("pq_abi") i32 pq_abi(void) { return PQ_ABI; }                                           \
	PQ_EXPORT("pq_ctx") i32 pq_ctx(void) { return (i32)pq_block; }                                    \
	PQ_EXPORT("pq_buf") i64 pq_buf(i32 kind) {                                                        \
		return kind == 0 ? (i64)(u32)pq_view_buffer << 32 | sizeof pq_view_buffer                     \
		                 : (i64)(u32)pq_out_buffer << 32 | sizeof pq_out_buffer;                      \
	}                                                                                                 \
	PQ_EXPORT("pq_call") i64 pq_call(u32 op, u32 arg) {                                               \
		if (op == PQ_ATTACH) {                                                                        \
			pq_attach_out *o = PQ_OUT(pq_attach_out);                                                 \
			o->size = sizeof *o;                                                                      \
			o->low = 0 HOOKS(PQ_LOW_);                                                                \
			o->high = 0 HOOKS(PQ_HIGH_);                                                              \
		}                                                                                             \
		switch (op) { HOOKS(PQ_CASE_) }                                                               \
		return 0;                                                                                     \
	}

#endif
