;; Reserves as many and as large frames as it can, before all else, with every packet.
;;! {"mode": "negotiated", "hooks": ["tx_sent", "frame_process", "frame_write", "frame_fate"], "permissions": ["reserve"],
;;!  "frames": [{"name": "flood", "max_len": 1100, "ack_eliciting": true, "in_flight": true}]}
(module
  (import "pq" "reserve" (func $reserve (param i32 i32 i32) (result i64)))
  PRELUDE
  (func (export "pq_call") (param $op i32) (param $arg i32) (result i64)
    (if (i32.eq (local.get $op) (i32.const 1)) (then (return (call $attach))))
    (if (i32.eq (local.get $op) (i32.const 32)) (then (return (i64.extend_i32_u (i32.load offset=4180 (i32.const 0))))))
    (if (i32.eq (local.get $op) (i32.const 42))
      (then (loop $more (br_if $more (i64.gt_s (call $reserve (i32.const 0) (i32.const 1100) (i32.const 1)) (i64.const 0))))))
    (i64.const 0)))
