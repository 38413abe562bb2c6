;; Never comes back from its second packet.
;;! {"hooks": ["tx_sent"]}
(module PRELUDE
  (global $calls (mut i32) (i32.const 0))
  (func (export "pq_call") (param $op i32) (param $arg i32) (result i64)
    (if (i32.eq (local.get $op) (i32.const 1)) (then (return (call $attach))))
    (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
    (if (i32.gt_u (global.get $calls) (i32.const 2)) (then (loop $forever (br $forever))))
    (i64.const 0)))
