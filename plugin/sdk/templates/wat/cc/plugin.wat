;; A congestion controller of your own, without any toolchain: it adds a datagram a round trip and halves the window on loss.
;; docs/plugin-abi.md says where the words lie: the context block is at 0, its in-struct at 64, its out-struct at 2048.
(module
  (memory (export "memory") 1 2)
  (func (export "pq_abi") (result i32) (i32.const 0x10000))
  (func (export "pq_ctx") (result i32) (i32.const 0))
  ;; Buffers: 3072 bytes at 4096 to read, 1536 at 8192 to write.
  (func (export "pq_buf") (param $kind i32) (result i64)
    (if (result i64) (local.get $kind)
      (then (i64.or (i64.shl (i64.const 8192) (i64.const 32)) (i64.const 1536)))
      (else (i64.or (i64.shl (i64.const 4096) (i64.const 32)) (i64.const 3072)))))

  ;; A path has 32 bytes from 16384 on: datagram, window, threshold, and when the window was last reduced.
  (func $path (result i32)
    (i32.add (i32.const 16384) (i32.shl (i32.and (i32.load (i32.const 24)) (i32.const 7)) (i32.const 5))))

  ;; The answer of every operation: flags bit 0 slow start, window, pacing rate (0: the connection's own).
  (func $answer (param $p i32) (result i64)
    (i32.store (i32.const 2048) (i32.const 24))
    (i32.store (i32.const 2052) (i64.lt_u (i64.load offset=8 (local.get $p)) (i64.load offset=16 (local.get $p))))
    (i64.store (i32.const 2056) (i64.load offset=8 (local.get $p)))
    (i64.const 0))

  (func $init (param $p i32)
    (i64.store (local.get $p) (i64.load (i32.const 72)))            ;; datagram size
    (i64.store offset=8 (local.get $p) (i64.load (i32.const 80)))   ;; the window that the connection has
    (i64.store offset=16 (local.get $p) (i64.const -1))
    (i64.store offset=24 (local.get $p) (i64.const 0)))

  (func $ack (param $p i32) (local $window i64) (local $bytes i64)
    (local.set $window (i64.load offset=8 (local.get $p)))
    (local.set $bytes (i64.load (i32.const 72)))
    ;; Nothing grows if the window was not the limit, or on old news.
    (if (i32.or (i32.and (i32.load (i32.const 68)) (i32.const 1))
                (i64.le_u (i64.load (i32.const 80)) (i64.load offset=24 (local.get $p))))
      (then (return)))
    (if (i64.ge_u (local.get $window) (i64.load offset=16 (local.get $p)))
      (then (local.set $bytes (i64.div_u (i64.mul (i64.load (local.get $p)) (local.get $bytes)) (local.get $window)))))
    (i64.store offset=8 (local.get $p) (i64.add (local.get $window) (local.get $bytes))))

  (func $loss (param $p i32) (local $half i64) (local $least i64)
    (if (i64.le_u (i64.load (i32.const 96)) (i64.load offset=24 (local.get $p))) (then (return)))  ;; once a round trip
    (i64.store offset=24 (local.get $p) (i64.load (i32.const 8)))
    (local.set $half (i64.shr_u (i64.load offset=8 (local.get $p)) (i64.const 1)))
    (local.set $least (i64.shl (i64.load (local.get $p)) (i64.const 1)))
    (if (i64.lt_u (local.get $half) (local.get $least)) (then (local.set $half (local.get $least))))
    (i64.store offset=8 (local.get $p) (local.get $half))
    (i64.store offset=16 (local.get $p) (local.get $half)))

  (func (export "pq_call") (param $op i32) (param $arg i32) (result i64)
    (if (i32.eq (local.get $op) (i32.const 1))   ;; attach: cc_init 50, cc_ack 51 and cc_loss 52 are handled
      (then
        (i64.store (i32.const 2056) (i64.shl (i64.const 7) (i64.const 50)))
        (return (i64.const 0))))
    (if (i32.eq (local.get $op) (i32.const 50)) (then (call $init (call $path))))
    (if (i32.eq (local.get $op) (i32.const 51)) (then (call $ack (call $path))))
    (if (i32.eq (local.get $op) (i32.const 52)) (then (call $loss (call $path))))
    (call $answer (call $path))))
