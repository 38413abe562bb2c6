;; Runs as much as it may for ever: with every packet, and as often as timers let it, but never so much that it fails.
;;! {"hooks": ["state_changed", "timer", "rx_datagram_meta", "rx_payload", "rx_done", "tx_packet_begin", "tx_payload", "tx_sent", "rtt_sample", "packet_lost",
;;!  "packet_acked"], "permissions": ["timer"], "views": ["payload"]}
(module
  (import "pq" "timer_set" (func $set (param i32 i64) (result i32)))
  PRELUDE
  (func $run (param $n i32)
    (loop $on (br_if $on (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
  (func (export "pq_call") (param $op i32) (param $arg i32) (result i64)
    (if (i32.eq (local.get $op) (i32.const 1)) (then (return (call $attach))))
    (if (i32.le_u (local.get $op) (i32.const 4))
      (then
        (if (i32.eq (local.get $op) (i32.const 4)) (then (call $run (i32.const 6700))))
        (drop (call $set (i32.const 0) (i64.add (i64.load (i32.const 4104)) (i64.const 1000000))))
        (return (i64.const 0))))
    (call $run (i32.const 60))
    (i64.const 0)))
