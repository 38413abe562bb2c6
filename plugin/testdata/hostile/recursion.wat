;; Calls itself with many values on the stack.
;;! {"hooks": ["tx_sent"]}
(module PRELUDE
  (func $deeper (param $a i64) (param $b i64) (param $c i64) (param $d i64) (result i64)
    (i64.add
      (call $deeper (i64.add (local.get $a) (i64.const 1)) (local.get $a) (local.get $b) (local.get $c))
      (i64.add (i64.mul (local.get $a) (local.get $b)) (i64.mul (local.get $c) (local.get $d)))))
  (func (export "pq_call") (param $op i32) (param $arg i32) (result i64)
    (if (i32.eq (local.get $op) (i32.const 1)) (then (return (call $attach))))
    (if (i32.ne (local.get $op) (i32.const 42)) (then (return (i64.const 0))))
    (call $deeper (i64.const 1) (i64.const 2) (i64.const 3) (i64.const 4))))
