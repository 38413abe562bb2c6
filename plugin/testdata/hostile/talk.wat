;; Tells application and log as much as it can, with every packet.
;;! {"hooks": ["tx_sent"], "permissions": ["log", "emit"]}
(module
  (import "pq" "log" (func $log (param i32 i32) (result i32)))
  (import "pq" "emit" (func $emit (param i32 i32 i32) (result i32)))
  PRELUDE
  (func (export "pq_call") (param $op i32) (param $arg i32) (result i64)
    (local $n i32)
    (if (i32.eq (local.get $op) (i32.const 1)) (then (return (call $attach))))
    (loop $next
      (drop (call $log (i32.const 0) (i32.const 1000)))
      (drop (call $emit (i32.const 1) (i32.const 0) (i32.const 1000)))
      (br_if $next (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 100))))
    (i64.const 0)))
