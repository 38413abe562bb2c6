;; Has the host work on as many bytes as it can, for ever.
;;! {"hooks": ["tx_sent"], "permissions": ["math", "rand"]}
(module
  (import "pq" "gf256_muladd" (func $muladd (param i32 i32 i32 i32) (result i32)))
  (import "pq" "rand" (func $rand (param i32 i32) (result i32)))
  PRELUDE
  (func (export "pq_call") (param $op i32) (param $arg i32) (result i64)
    (if (i32.eq (local.get $op) (i32.const 1)) (then (return (call $attach))))
    (if (i32.ne (local.get $op) (i32.const 42)) (then (return (i64.const 0))))
    (loop $forever
      (drop (call $muladd (i32.const 20480) (i32.const 40960) (i32.const 20480) (i32.const 3)))
      (drop (call $rand (i32.const 20480) (i32.const 4096)))
      (br $forever))
    (i64.const 0)))
