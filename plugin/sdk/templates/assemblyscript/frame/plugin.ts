// A frame of its own: both ends run this plugin. The client asks for the time every 100 ms while the connection lives; the server's
// answer gives a round-trip time that no acknowledgment delay is in.
import * as pq from "./pq";
export { pq_abi, pq_ctx, pq_buf } from "./pq";

const ASK = 0, ANSWER = 1; // frames, as in manifest.json
const ASKED = 0, ANSWERED = 1, RTT = 2; // metrics
const URGENT = 1;
const interval: u64 = 100000000;

let askedAt: u64 = 0; // that the server is to answer

function arm(): void { pq.timerSet(1, pq.now() + interval); }

function onFrame(frame: i32): i64 {
	if (pq.viewLen() != 8) return 2; // malformed
	const t = load<u64>(pq.view());
	if (frame == ASK) {
		askedAt = t;
		pq.reserve(ANSWER, 8, URGENT);
	} else {
		pq.count(ANSWERED, 1);
		pq.count(RTT, (pq.now() - t) / 1000);
	}
	return 0;
}

function onWrite(): i64 {
	if (pq.outCap() < 8) return pq.DEFER;
	store<u64>(pq.out(), pq.in32(16) == ASK ? pq.now() : askedAt);
	return 8;
}

export function pq_call(op: i32, arg: i32): i64 {
	switch (op) {
		case pq.ATTACH:
			return pq.handles(pq.low(pq.FRAME_PROCESS) | pq.low(pq.FRAME_WRITE) | pq.low(pq.FRAME_FATE) | pq.low(pq.STATE_CHANGED) | pq.low(pq.TIMER), 0);
		case pq.STATE_CHANGED:
			if (!pq.isServer() && pq.in32(12) == 2) arm();
			break;
		case pq.TIMER:
			if (pq.reserve(ASK, 8, URGENT) > 0) pq.count(ASKED, 1);
			arm();
			break;
		case pq.FRAME_PROCESS: return onFrame(arg);
		case pq.FRAME_WRITE: return onWrite();
	}
	return 0;
}
