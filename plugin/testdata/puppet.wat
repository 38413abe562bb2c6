;; Answers each operation with what the test has put at 32768 + 64·op: out-struct from 8 to 56, flags at 4, result at 56.
;;! {"mode": "negotiated", "views": ["payload"],
;;!  "hooks": ["state_changed", "timer", "app_call", "take_event", "rx_datagram_meta", "rx_payload", "rx_done", "frame_process", "frame_write",
;;!            "frame_fate", "tx_packet_begin", "tx_payload", "tx_sent", "cc_init", "cc_ack", "cc_loss", "cc_sent", "cc_spurious", "cc_mtu",
;;!            "ack_policy", "rtt_sample", "packet_lost", "packet_acked", "ack_request", "stream_next", "stream_event", "app_data_sent",
;;!            "app_data_delivered"],
;;!  "frames": [{"name": "data", "max_len": 1200, "ack_eliciting": true, "in_flight": true}, {"name": "id", "max_len": 8, "ride_along": true}],
;;!  "app_ops": [{"id": 7, "name": "ask"}],
;;!  "permissions": ["reserve", "timer", "event"]}
(module
  PRELUDE
  (func (export "pq_call") (param $op i32) (param $arg i32) (result i64)
    (local $at i32)
    (if (i32.eq (local.get $op) (i32.const 1)) (then (return (call $attach))))
    (local.set $at (i32.add (i32.const 32768) (i32.mul (local.get $op) (i32.const 64))))
    (i32.store offset=6148 (i32.const 0) (i32.load offset=4 (local.get $at)))
    (memory.copy (i32.const 6152) (i32.add (local.get $at) (i32.const 8)) (i32.const 48))
    (i64.load offset=56 (local.get $at))))
