;; Never wants to acknowledge.
;;! {"hooks": ["ack_policy"]}
(module PRELUDE
  (func (export "pq_call") (param $op i32) (param $arg i32) (result i64)
    (if (i32.eq (local.get $op) (i32.const 1)) (then (return (call $attach))))
    (i64.store offset=6152 (i32.const 0) (i64.const 0x7fffffffffffffff))
    (i64.const 0)))
