;; Watches a connection, without any toolchain: counts lost packets and keeps the largest round-trip time.
(module
  (import "pq" "count" (func $count (param i32 i64) (result i32)))
  (memory (export "memory") 1 2)
  (global $largest (mut i64) (i64.const 0))
  (func (export "pq_abi") (result i32) (i32.const 0x10000))
  (func (export "pq_ctx") (result i32) (i32.const 0))
  (func (export "pq_buf") (param $kind i32) (result i64)
    (if (result i64) (local.get $kind)
      (then (i64.or (i64.shl (i64.const 8192) (i64.const 32)) (i64.const 1536)))
      (else (i64.or (i64.shl (i64.const 4096) (i64.const 32)) (i64.const 3072)))))

  (func (export "pq_call") (param $op i32) (param $arg i32) (result i64) (local $rtt i64)
    (if (i32.eq (local.get $op) (i32.const 1))   ;; attach: rtt_sample 63 and packet_lost 64 are handled
      (then
        (i64.store (i32.const 2056) (i64.shl (i64.const 1) (i64.const 63)))
        (i64.store (i32.const 2064) (i64.const 1))))
    (if (i32.eq (local.get $op) (i32.const 64))
      (then (drop (call $count (i32.const 0) (i64.const 1)))))
    (if (i32.eq (local.get $op) (i32.const 63))
      (then
        (local.set $rtt (i64.load (i32.const 72)))
        (if (i64.gt_u (local.get $rtt) (global.get $largest))
          (then
            (global.set $largest (local.get $rtt))
            (drop (call $count (i32.const 1) (i64.div_u (local.get $rtt) (i64.const 1000))))))))
    (i64.const 0)))
