;; Overwrites all that it shares with the host, in every call, and returns a pointer to nowhere.
;;! {"views": ["payload"], "hooks": ["tx_payload", "rx_payload", "tx_packet_begin", "tx_sent", "rx_done", "cc_init", "cc_ack", "cc_loss", "ack_policy", "stream_next"]}
(module PRELUDE
  (func (export "pq_call") (param $op i32) (param $arg i32) (result i64)
    (if (i32.eq (local.get $op) (i32.const 1)) (then (return (call $attach))))
    (if (i32.eq (local.get $op) (i32.const 50)) (then (return (i64.const 0))))
    (memory.fill (i32.const 0) (i32.const 0xff) (i32.const 65536))
    (i64.const 0)))
