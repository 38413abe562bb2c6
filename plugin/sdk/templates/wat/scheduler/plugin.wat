;; Decides which stream sends next, without any toolchain: the one with the least left.
(module
  (memory (export "memory") 1 2)
  (func (export "pq_abi") (result i32) (i32.const 0x10000))
  (func (export "pq_ctx") (result i32) (i32.const 0))
  (func (export "pq_buf") (param $kind i32) (result i64)
    (if (result i64) (local.get $kind)
      (then (i64.or (i64.shl (i64.const 8192) (i64.const 32)) (i64.const 1536)))
      (else (i64.or (i64.shl (i64.const 4096) (i64.const 32)) (i64.const 3072)))))

  ;; A ready stream takes 32 bytes from 80 on: id, bytes, sent, fin.
  (func $next (param $count i32) (result i64) (local $i i32) (local $best i32)
    (loop $each
      (if (i32.lt_u (local.get $i) (local.get $count))
        (then
          (if (i64.lt_u (call $bytes (local.get $i)) (call $bytes (local.get $best)))
            (then (local.set $best (local.get $i))))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br $each))))
    (i64.extend_i32_u (local.get $best)))
  (func $bytes (param $i i32) (result i64)
    (i64.load offset=88 (i32.shl (local.get $i) (i32.const 5))))

  (func (export "pq_call") (param $op i32) (param $arg i32) (result i64)
    (if (i32.eq (local.get $op) (i32.const 1))   ;; attach: stream_next 70 is handled
      (then (i64.store (i32.const 2064) (i64.shl (i64.const 1) (i64.const 6)))))
    (if (i32.eq (local.get $op) (i32.const 70)) (then (return (call $next (local.get $arg)))))
    (i64.const 0)))
