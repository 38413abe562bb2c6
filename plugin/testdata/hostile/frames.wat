;; Reserves frames that it did not declare, sends what its other half cannot read, and calls all that it gets broken.
;;! {"mode": "negotiated", "hooks": ["tx_sent", "frame_process", "frame_write"], "permissions": ["reserve"],
;;!  "frames": [{"name": "noise", "max_len": 100, "ack_eliciting": true, "in_flight": true}]}
(module
  (import "pq" "reserve" (func $reserve (param i32 i32 i32) (result i64)))
  PRELUDE
  (func (export "pq_call") (param $op i32) (param $arg i32) (result i64)
    (if (i32.eq (local.get $op) (i32.const 1)) (then (return (call $attach))))
    (if (i32.eq (local.get $op) (i32.const 31)) (then (return (i64.const 2))))
    (if (i32.eq (local.get $op) (i32.const 32)) (then (return (i64.extend_i32_u (i32.load offset=4180 (i32.const 0))))))
    (if (i32.eq (local.get $op) (i32.const 42))
      (then
        (drop (call $reserve (i32.const 1) (i32.const 10) (i32.const 1)))
        (drop (call $reserve (i32.const 255) (i32.const -1) (i32.const -1)))
        (drop (call $reserve (i32.const 0) (i32.const 100) (i32.const 1)))))
    (i64.const 0)))
