// A congestion controller of your own. This one is AIMD: it adds a datagram a round trip and halves the window on loss.
import * as pq from "./pq";
export { pq_abi, pq_ctx, pq_buf } from "./pq";

// Eight paths: datagram, window and threshold in bytes, and when the window was last reduced.
const paths: usize = memory.data(8 * 32, 8);

// @ts-ignore: decorator
@inline function at(field: usize): usize { return paths + 32 * <usize>(pq.path() & 7) + 8 * field; }
// @ts-ignore: decorator
@inline function datagram(): u64 { return load<u64>(at(0)); }
// @ts-ignore: decorator
@inline function window(): u64 { return load<u64>(at(1)); }
// @ts-ignore: decorator
@inline function threshold(): u64 { return load<u64>(at(2)); }

function answer(): i64 { return pq.control(window(), 0, window() < threshold()); }

function onInit(): i64 {
	store<u64>(at(0), pq.in64(8));
	store<u64>(at(1), pq.in64(16));
	store<u64>(at(2), u64.MAX_VALUE);
	store<u64>(at(3), 0);
	return answer();
}

function onAck(): i64 {
	const bytes = pq.in64(8), largestSent = pq.in64(16);
	if ((pq.flags() & 1) != 0 || largestSent <= load<u64>(at(3))) return answer(); // the window was not the limit, or old news
	const grown = window() < threshold() ? bytes : (datagram() * bytes) / window();
	store<u64>(at(1), window() + grown);
	return answer();
}

function onLoss(): i64 {
	if (pq.in64(32) > load<u64>(at(3))) { // once a round trip
		store<u64>(at(3), pq.now());
		const half = window() / 2 > 2 * datagram() ? window() / 2 : 2 * datagram();
		store<u64>(at(1), half);
		store<u64>(at(2), half);
	}
	return answer();
}

export function pq_call(op: i32, arg: i32): i64 {
	switch (op) {
		case pq.ATTACH: return pq.handles(pq.low(pq.CC_INIT) | pq.low(pq.CC_ACK) | pq.low(pq.CC_LOSS), 0);
		case pq.CC_INIT: return onInit();
		case pq.CC_ACK: return onAck();
		case pq.CC_LOSS: return onLoss();
	}
	return 0;
}
