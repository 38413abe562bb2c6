;; Sends a stream that does not wait.
;;! {"hooks": ["stream_next"]}
(module PRELUDE
  (func (export "pq_call") (param $op i32) (param $arg i32) (result i64)
    (if (i32.eq (local.get $op) (i32.const 1)) (then (return (call $attach))))
    (i64.const 0x7fffffff)))
