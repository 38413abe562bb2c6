;; Wants a window of 2^62 bytes and a rate beyond counting.
;;! {"hooks": ["cc_init", "cc_ack"]}
(module PRELUDE
  (func (export "pq_call") (param $op i32) (param $arg i32) (result i64)
    (if (i32.eq (local.get $op) (i32.const 1)) (then (return (call $attach))))
    (if (i32.eq (local.get $op) (i32.const 51))
      (then
        (i64.store offset=6152 (i32.const 0) (i64.const 0x4000000000000000))
        (i64.store offset=6160 (i32.const 0) (i64.const -1))))
    (i64.const 0)))
