// Decides which stream sends next: the one with the least left.
import * as pq from "./pq";
export { pq_abi, pq_ctx, pq_buf } from "./pq";

// A ready stream takes 32 bytes: id, bytes, sent, fin.
function onNext(count: u32): i64 {
	let best: u32 = 0;
	for (let i: u32 = 1; i < count; i++) {
		if (pq.in64(16 + 32 * i + 8) < pq.in64(16 + 32 * best + 8)) best = i;
	}
	return best;
}

export function pq_call(op: i32, arg: i32): i64 {
	switch (op) {
		case pq.ATTACH: return pq.handles(0, pq.high(pq.STREAM_NEXT));
		case pq.STREAM_NEXT: return onNext(arg);
	}
	return 0;
}
