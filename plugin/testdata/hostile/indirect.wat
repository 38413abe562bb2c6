;; Calls itself through its table, so that no call graph shows it.
;;! {"hooks": ["tx_sent"]}
(module PRELUDE
  (type $f (func (param i32) (result i64)))
  (table 1 funcref)
  (elem (i32.const 0) $again)
  (func $again (param $n i32) (result i64) (i64.add (call_indirect (type $f) (local.get $n) (i32.const 0)) (i64.const 1)))
  (func (export "pq_call") (param $op i32) (param $arg i32) (result i64)
    (if (i32.eq (local.get $op) (i32.const 1)) (then (return (call $attach))))
    (if (i32.ne (local.get $op) (i32.const 42)) (then (return (i64.const 0))))
    (call $again (i32.const 7))))
