;; Sets all timers that it may, and sets them again for the past whenever one passes.
;;! {"hooks": ["state_changed", "timer"], "permissions": ["timer"]}
(module
  (import "pq" "timer_set" (func $set (param i32 i64) (result i32)))
  PRELUDE
  (func (export "pq_call") (param $op i32) (param $arg i32) (result i64)
    (local $id i32)
    (if (i32.eq (local.get $op) (i32.const 1)) (then (return (call $attach))))
    (loop $next
      (drop (call $set (local.get $id) (i64.const 1)))
      (br_if $next (i32.lt_u (local.tee $id (i32.add (local.get $id) (i32.const 1))) (i32.const 40))))
    (i64.const 0)))
