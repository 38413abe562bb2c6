;; Names ranges that are not there, and goes on.
;;! {"hooks": ["tx_sent"], "permissions": ["log", "emit", "rand", "math"]}
(module
  (import "pq" "log" (func $log (param i32 i32) (result i32)))
  (import "pq" "emit" (func $emit (param i32 i32 i32) (result i32)))
  (import "pq" "rand" (func $rand (param i32 i32) (result i32)))
  (import "pq" "xor" (func $xor (param i32 i32 i32) (result i32)))
  (import "pq" "gf256_muladd" (func $muladd (param i32 i32 i32 i32) (result i32)))
  (import "pq" "memcmp_ct" (func $compare (param i32 i32 i32) (result i32)))
  PRELUDE
  (func (export "pq_call") (param $op i32) (param $arg i32) (result i64)
    (if (i32.eq (local.get $op) (i32.const 1)) (then (return (call $attach))))
    (if (i32.ne (i32.const -24)
      (i32.add (call $log (i32.const 65535) (i32.const 2))
        (i32.add (call $emit (i32.const 1) (i32.const 0) (i32.const -1))
          (i32.add (call $rand (i32.const -1) (i32.const -1))
            (i32.add (call $xor (i32.const 0) (i32.const 65500) (i32.const 100))
              (i32.add (call $muladd (i32.const 65500) (i32.const 0) (i32.const 100) (i32.const 2))
                (call $compare (i32.const 0x7fffffff) (i32.const 0) (i32.const 0x7fffffff))))))))
      (then unreachable))
    (i64.const 0)))
