// pq.ts: what a Quiver plugin in AssemblyScript needs. ABI version 1.0; docs/plugin-abi.md has the meaning of every word.
//
// A plugin exports pq_abi, pq_ctx and pq_buf from here, and a pq_call of its own, a switch over operations. It allocates nothing: build it
// with --runtime stub, and use numbers and memory.data.

export const ABI: i32 = 0x10000;
export const DEFER: i64 = -1;
export const FAIL: i64 = -7;

// Errors of imports.
export const EPERM = -2;
export const ELIMIT = -3;
export const ERANGE = -4;
export const EINACTIVE = -5;
export const ETOKEN = -6;

// Operations.
export const ATTACH = 1;
export const STATE_CHANGED = 2;
export const DETACH = 3;
export const TIMER = 4;
export const APP_CALL = 5;
export const TAKE_EVENT = 6;
export const RX_DATAGRAM_META = 20;
export const RX_PAYLOAD = 21;
export const RX_DONE = 22;
export const FRAME_PROCESS = 31;
export const FRAME_WRITE = 32;
export const FRAME_FATE = 33;
export const TX_PACKET_BEGIN = 40;
export const TX_PAYLOAD = 41;
export const TX_SENT = 42;
export const CC_INIT = 50;
export const CC_ACK = 51;
export const CC_LOSS = 52;
export const CC_SENT = 53;
export const CC_SPURIOUS = 54;
export const CC_ROUND = 57;
export const CC_MTU = 58;
export const ACK_POLICY = 62;
export const RTT_SAMPLE = 63;
export const PACKET_LOST = 64;
export const PACKET_ACKED = 65;
export const ACK_REQUEST = 66;
export const STREAM_NEXT = 70;
export const STREAM_EVENT = 80;
export const APP_DATA_SENT = 81;
export const APP_DATA_DELIVERED = 82;

const block: usize = memory.data(4096, 8);
const viewBuffer: usize = memory.data(3072, 8);
const outBuffer: usize = memory.data(1536, 8);

export function pq_abi(): i32 { return ABI; }
export function pq_ctx(): i32 { return <i32>block; }
export function pq_buf(kind: i32): i64 {
	return kind == 0 ? (<i64>viewBuffer << 32) | 3072 : (<i64>outBuffer << 32) | 1536;
}

// The head of the context block.
// @ts-ignore: decorator
@inline export function now(): u64 { return load<u64>(block, 8); } // nanoseconds on the connection's clock
// @ts-ignore: decorator
@inline export function path(): u32 { return load<u32>(block, 24); }
// @ts-ignore: decorator
@inline export function isServer(): bool { return (load<u32>(block, 28) & 1) != 0; }
// @ts-ignore: decorator
@inline export function view(): usize { return <usize>load<u32>(block, 32); }
// @ts-ignore: decorator
@inline export function viewLen(): u32 { return load<u32>(block, 36); }
// @ts-ignore: decorator
@inline export function out(): usize { return <usize>load<u32>(block, 40); } // where to write
// @ts-ignore: decorator
@inline export function outCap(): u32 { return load<u32>(block, 44); }

// Words of the in-struct and the out-struct, by their offset in docs/plugin-abi.md.
// @ts-ignore: decorator
@inline export function flags(): u32 { return load<u32>(block + 64, 4); }
// @ts-ignore: decorator
@inline export function in32(offset: usize): u32 { return load<u32>(block + 64 + offset); }
// @ts-ignore: decorator
@inline export function in64(offset: usize): u64 { return load<u64>(block + 64 + offset); }
// @ts-ignore: decorator
@inline export function set32(offset: usize, v: u32): void { store<u32>(block + 2048 + offset, v); }
// @ts-ignore: decorator
@inline export function set64(offset: usize, v: u64): void { store<u64>(block + 2048 + offset, v); }

// setting returns a setting of the manifest's config by its index, while ATTACH is handled.
export function setting(i: u32): i64 { return i < viewLen() / 8 ? load<i64>(view() + 8 * <usize>i) : 0; }

// handles answers ATTACH: bit(op) for every operation that pq_call handles, or'ed.
// @ts-ignore: decorator
@inline export function low(op: i32): u64 { return op < 64 ? (<u64>1) << op : 0; }
// @ts-ignore: decorator
@inline export function high(op: i32): u64 { return op < 64 ? 0 : (<u64>1) << (op - 64); }
export function handles(lowBits: u64, highBits: u64): i64 {
	set32(0, 24);
	set64(8, lowBits);
	set64(16, highBits);
	return 0;
}

// control answers the operations of congestion control. pacing 0 leaves the rate to the connection.
export function control(window: u64, pacing: u64, slowStart: bool): i64 {
	set32(0, 24);
	set32(4, slowStart ? 1 : 0);
	set64(8, window);
	set64(16, pacing);
	return 0;
}

// Imports: what a plugin may ask. Those it uses must be among the manifest's permissions.
@external("pq", "reserve") export declare function reserve(frame: u32, size: u32, flags: u32): i64;
@external("pq", "cancel") export declare function cancel(token: u32): i32;
@external("pq", "timer_set") export declare function timerSet(id: u32, at: u64): i32;
@external("pq", "timer_cancel") export declare function timerCancel(id: u32): i32;
@external("pq", "emit") export declare function emit(event: u32, off: usize, len: u32): i32;
@external("pq", "count") export declare function count(metric: u32, n: i64): i32;
@external("pq", "log") export declare function log(off: usize, len: u32): i32;
@external("pq", "rand") export declare function rand(off: usize, len: u32): i32;
@external("pq", "get") export declare function get(field: u32, path: u32): i64;
@external("pq", "event") export declare function event(off: usize, len: u32): i32;
@external("pq", "recovered") export declare function recovered(path: u32, pn: u64, off: usize, len: u32): i32;
@external("pq", "delivered") export declare function delivered(path: u32, pn: u64): i32;
@external("pq", "xor") export declare function xor(dst: usize, src: usize, len: u32): i32;
@external("pq", "gf256_muladd") export declare function gf256MulAdd(dst: usize, src: usize, len: u32, c: u32): i32;
@external("pq", "memcmp_ct") export declare function memcmpCT(a: usize, b: usize, len: u32): i32;
