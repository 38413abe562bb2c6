;; Takes all memory that it can get, and touches it.
;;! {"hooks": ["tx_sent"]}
(module PRELUDE
  (func (export "pq_call") (param $op i32) (param $arg i32) (result i64)
    (if (i32.eq (local.get $op) (i32.const 1)) (then (return (call $attach))))
    (drop (memory.grow (i32.const 60000)))
    (if (i32.ge_s (memory.grow (i32.const 1)) (i32.const 0))
      (then (i32.store8 (i32.sub (i32.shl (memory.size) (i32.const 16)) (i32.const 1)) (i32.const 1))))
    (i64.const 0)))
