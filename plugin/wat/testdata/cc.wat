;; A congestion controller: slow start, then one datagram more for each window
;; that is acknowledged, and half the window after a loss. It defers nothing and
;; keeps its state in memory, 32 bytes for each path: window, threshold, start of
;; the last recovery, datagram size.
(module $cc-half
  (memory (export "memory") 1 1)
  (global $context i32 (i32.const 1024))  ;; 4096 bytes, aligned to 8
  (global $receives i32 (i32.const 8192)) ;; 2048 bytes for views
  (global $writes i32 (i32.const 10240))  ;; 2048 bytes for what a plugin writes

  (func (export "pq_abi") (result i32) (i32.const 0x1_0000))
  (func (export "pq_ctx") (result i32) (global.get $context))
  (func (export "pq_buf") (param $kind i32) (result i64)
    (i64.or
      (i64.shl
        (i64.extend_i32_u (select (global.get $writes) (global.get $receives) (local.get $kind)))
        (i64.const 32))
      (i64.const 2048)))

  (func (export "pq_call") (param $op i32) (param $arg i32) (result i64)
    (local $path i32)
    (local.set $path
      (i32.shl (i32.and (i32.load (i32.const 1048)) (i32.const 3)) (i32.const 5)))
    (if (i32.eq (local.get $op) (i32.const 1)) (then (return (call $attach))))
    (block $none
      (block $mtu
        (block $loss
          (block $ack
            (block $init
              (br_table $init $ack $loss $none $none $none $none $none $mtu $none
                (i32.sub (local.get $op) (i32.const 50))))
            (call $on_init (local.get $path))
            (return (call $answer (local.get $path))))
          (call $on_ack (local.get $path))
          (return (call $answer (local.get $path))))
        (call $on_loss (local.get $path))
        (return (call $answer (local.get $path))))
      (i64.store offset=24 (local.get $path) (i64.load (i32.const 1096)))
      (return (call $answer (local.get $path))))
    (i64.const 0))

  ;; attach says which operations there are: 50 cc_init, 51 cc_ack, 52 cc_loss, 58 cc_mtu.
  (func $attach (result i64)
    (i32.store (i32.const 3072) (i32.const 24))
    (i64.store (i32.const 3080) (i64.const 0x041C_0000_0000_0000))
    (i64.const 0))

  ;; answer writes the out-struct of cc operations, at context + 2048.
  (func $answer (param $path i32) (result i64)
    (i32.store (i32.const 3072) (i32.const 24))
    (i32.store (i32.const 3076)
      (i64.lt_u (i64.load (local.get $path)) (i64.load offset=8 (local.get $path))))
    (i64.store (i32.const 3080) (i64.load (local.get $path)))
    (i64.const 0))

  (func $on_init (param $path i32)
    (i64.store offset=24 (local.get $path) (i64.load (i32.const 1096)))
    (i64.store (local.get $path) (i64.load (i32.const 1104)))
    (i64.store offset=8 (local.get $path) (i64.const -1))
    (i64.store offset=16 (local.get $path) (i64.const -1)))

  ;; A window that the application does not fill says nothing about the path.
  (func $on_ack (param $path i32)
    (local $window i64) (local $bytes i64)
    (if (i32.and (i32.load (i32.const 1092)) (i32.const 1)) (then (return)))
    (local.set $window (i64.load (local.get $path)))
    (local.set $bytes (i64.load (i32.const 1096)))
    (i64.store (local.get $path)
      (i64.add (local.get $window)
        (if (result i64) (i64.lt_u (local.get $window) (i64.load offset=8 (local.get $path)))
          (then (local.get $bytes))
          (else
            (i64.div_u
              (i64.mul (i64.load offset=24 (local.get $path)) (local.get $bytes))
              (local.get $window)))))))

  ;; Losses of what was sent before the last recovery began are not a new sign.
  (func $on_loss (param $path i32)
    (local $window i64) (local $least i64)
    (if (i64.le_s (i64.load (i32.const 1120)) (i64.load offset=16 (local.get $path)))
      (then (return)))
    (local.set $least (i64.shl (i64.load offset=24 (local.get $path)) (i64.const 1)))
    (local.set $window (i64.shr_u (i64.load (local.get $path)) (i64.const 1)))
    (if (i64.lt_u (local.get $window) (local.get $least))
      (then (local.set $window (local.get $least))))
    (i64.store (local.get $path) (local.get $window))
    (i64.store offset=8 (local.get $path) (local.get $window))
    (i64.store offset=16 (local.get $path) (i64.load (i32.const 1032))))
)
