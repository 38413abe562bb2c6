;; Says that it wrote more than there is room for.
;;! {"mode": "negotiated", "hooks": ["tx_sent", "frame_process", "frame_write"], "permissions": ["reserve"],
;;!  "frames": [{"name": "big", "max_len": 100, "ack_eliciting": true, "in_flight": true}]}
(module
  (import "pq" "reserve" (func $reserve (param i32 i32 i32) (result i64)))
  PRELUDE
  (func (export "pq_call") (param $op i32) (param $arg i32) (result i64)
    (if (i32.eq (local.get $op) (i32.const 1)) (then (return (call $attach))))
    (if (i32.eq (local.get $op) (i32.const 32)) (then (return (i64.const 4000))))
    (if (i32.eq (local.get $op) (i32.const 42)) (then (drop (call $reserve (i32.const 0) (i32.const 100) (i32.const 1)))))
    (i64.const 0)))
