// Decides when received packets are acknowledged: every so many, a setting, or when the peer's patience ends.
import * as pq from "./pq";
export { pq_abi, pq_ctx, pq_buf } from "./pq";

let every: u32 = 0;

function onAckPolicy(): i64 {
	if ((pq.flags() & 3) != 0) return pq.DEFER; // reordered, or marked: the connection acknowledges at once
	pq.set32(0, 16);
	pq.set64(8, pq.in32(16) >= every ? pq.now() : pq.in64(8) + pq.in64(24));
	return 0;
}

export function pq_call(op: i32, arg: i32): i64 {
	switch (op) {
		case pq.ATTACH:
			every = <u32>pq.setting(0);
			return pq.handles(pq.low(pq.ACK_POLICY), 0);
		case pq.ACK_POLICY: return onAckPolicy();
	}
	return 0;
}
