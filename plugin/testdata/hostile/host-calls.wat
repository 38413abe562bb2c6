;; Asks the host for something for ever.
;;! {"hooks": ["tx_sent"], "permissions": ["get"]}
(module
  (import "pq" "get" (func $get (param i32 i32) (result i64)))
  PRELUDE
  (func (export "pq_call") (param $op i32) (param $arg i32) (result i64)
    (if (i32.eq (local.get $op) (i32.const 1)) (then (return (call $attach))))
    (if (i32.ne (local.get $op) (i32.const 42)) (then (return (i64.const 0))))
    (loop $forever (drop (call $get (i32.const 0) (i32.const 0))) (br $forever))
    (i64.const 0)))
