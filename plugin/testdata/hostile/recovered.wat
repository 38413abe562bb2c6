;; Hands in noise as packets of the peer, and calls packets of its own delivered that never left.
;;! {"hooks": ["tx_sent"], "permissions": ["recovered", "rand"]}
(module
  (import "pq" "recovered" (func $recovered (param i32 i64 i32 i32) (result i32)))
  (import "pq" "delivered" (func $delivered (param i32 i64) (result i32)))
  (import "pq" "rand" (func $rand (param i32 i32) (result i32)))
  PRELUDE
  (global $pn (mut i64) (i64.const 0))
  (func (export "pq_call") (param $op i32) (param $arg i32) (result i64)
    (if (i32.eq (local.get $op) (i32.const 1)) (then (return (call $attach))))
    (drop (call $rand (i32.const 30000) (i32.const 200)))
    (drop (call $recovered (i32.const 0) (global.get $pn) (i32.const 30000) (i32.const 200)))
    (drop (call $delivered (i32.const 0) (global.get $pn)))
    (drop (call $delivered (i32.const 0) (i64.const 0x7fffffffffffffff)))
    (global.set $pn (i64.add (global.get $pn) (i64.const 1)))
    (i64.const 0)))
