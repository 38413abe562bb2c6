// Watches a connection: counts lost packets and keeps the largest round-trip time.
import * as pq from "./pq";
export { pq_abi, pq_ctx, pq_buf } from "./pq";

const LOST = 0, LARGEST_RTT = 1; // metrics, as in manifest.json
let largest: u64 = 0;

export function pq_call(op: i32, arg: i32): i64 {
	switch (op) {
		case pq.ATTACH: return pq.handles(pq.low(pq.RTT_SAMPLE), pq.high(pq.PACKET_LOST));
		case pq.PACKET_LOST:
			pq.count(LOST, 1);
			break;
		case pq.RTT_SAMPLE:
			if (pq.in64(8) > largest) {
				largest = pq.in64(8);
				pq.count(LARGEST_RTT, largest / 1000);
			}
			break;
	}
	return 0;
}
