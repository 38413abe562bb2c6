;; Decides when received packets are acknowledged, without any toolchain: every so many, a setting, or when the peer's patience ends.
(module
  (memory (export "memory") 1 2)
  (global $every (mut i32) (i32.const 0))
  (func (export "pq_abi") (result i32) (i32.const 0x10000))
  (func (export "pq_ctx") (result i32) (i32.const 0))
  (func (export "pq_buf") (param $kind i32) (result i64)
    (if (result i64) (local.get $kind)
      (then (i64.or (i64.shl (i64.const 8192) (i64.const 32)) (i64.const 1536)))
      (else (i64.or (i64.shl (i64.const 4096) (i64.const 32)) (i64.const 3072)))))

  (func $policy (result i64)
    ;; Reordered, or marked: the connection acknowledges at once.
    (if (i32.and (i32.load (i32.const 68)) (i32.const 3)) (then (return (i64.const -1))))
    (i64.store (i32.const 2056)
      (select
        (i64.load (i32.const 8))                                                ;; now
        (i64.add (i64.load (i32.const 72)) (i64.load (i32.const 88)))           ;; the oldest, and the most it may wait
        (i32.ge_u (i32.load (i32.const 80)) (global.get $every))))
    (i64.const 0))

  (func (export "pq_call") (param $op i32) (param $arg i32) (result i64)
    (if (i32.eq (local.get $op) (i32.const 1))   ;; attach: the first setting; ack_policy 62 is handled
      (then
        (global.set $every (i32.load (i32.load (i32.const 32))))
        (i64.store (i32.const 2056) (i64.shl (i64.const 1) (i64.const 62)))))
    (if (i32.eq (local.get $op) (i32.const 62)) (then (return (call $policy))))
    (i64.const 0)))
