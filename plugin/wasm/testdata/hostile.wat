;; Programs that do not end, or take long, each for every way there is. All are (i32) -> (i32).
;;
;; wat2wasm --debug-names -o hostile.wasm hostile.wat

(module
  (type $t (func (param i32) (result i32)))
  (import "pq" "host" (func $host (type $t)))
  (memory (export "memory") 16)
  (table 4 4 funcref)
  (elem (i32.const 0) $again $host $leaf)
  (elem $passive func $leaf $leaf $leaf $leaf)
  (data $bytes "0123456789abcdef")

  (func (export "loop") (type $t) (loop br 0) unreachable)

  (func (export "loop_counts") (type $t)
    (loop (local.set 0 (i32.add (local.get 0) (i32.const 1))) (br_if 0 (i32.const 1)))
    (local.get 0))

  (func $recursion (export "recursion") (type $t)
    (i32.add (i32.const 1) (call $recursion (local.get 0))))

  (func $ping (export "mutual_recursion") (type $t) (call $pong (local.get 0)))
  (func $pong (type $t) (call $ping (local.get 0)))

  ;; A tree of 2^n calls, without a loop and without recursion.
  (func $leaf (type $t) (local.get 0))
  (func $t1 (type $t) (drop (call $leaf (local.get 0))) (call $leaf (local.get 0)))
  (func $t2 (type $t) (drop (call $t1 (local.get 0))) (call $t1 (local.get 0)))
  (func $t3 (type $t) (drop (call $t2 (local.get 0))) (call $t2 (local.get 0)))
  (func $t4 (type $t) (drop (call $t3 (local.get 0))) (call $t3 (local.get 0)))
  (func $t5 (type $t) (drop (call $t4 (local.get 0))) (call $t4 (local.get 0)))
  (func $t6 (type $t) (drop (call $t5 (local.get 0))) (call $t5 (local.get 0)))
  (func $t7 (type $t) (drop (call $t6 (local.get 0))) (call $t6 (local.get 0)))
  (func $t8 (type $t) (drop (call $t7 (local.get 0))) (call $t7 (local.get 0)))
  (func $t9 (type $t) (drop (call $t8 (local.get 0))) (call $t8 (local.get 0)))
  (func $t10 (type $t) (drop (call $t9 (local.get 0))) (call $t9 (local.get 0)))
  (func $t11 (type $t) (drop (call $t10 (local.get 0))) (call $t10 (local.get 0)))
  (func $t12 (type $t) (drop (call $t11 (local.get 0))) (call $t11 (local.get 0)))
  (func $t13 (type $t) (drop (call $t12 (local.get 0))) (call $t12 (local.get 0)))
  (func $t14 (type $t) (drop (call $t13 (local.get 0))) (call $t13 (local.get 0)))
  (func $t15 (type $t) (drop (call $t14 (local.get 0))) (call $t14 (local.get 0)))
  (func $t16 (type $t) (drop (call $t15 (local.get 0))) (call $t15 (local.get 0)))
  (func (export "call_tree") (type $t) (drop (call $t16 (local.get 0))) (call $t16 (local.get 0)))

  (func (export "nested_loops") (type $t) (local i32)
    (loop $a
      (loop $b
        (loop $c
          (local.set 1 (i32.add (local.get 1) (i32.const 1)))
          (block $out
            (br_table $a $b $c $out $a (i32.and (local.get 1) (i32.const 3))))
          (br $b))))
    (local.get 1))

  (func (export "fill_1GiB") (type $t)
    (loop (memory.fill (i32.const 0) (i32.const 1) (i32.const 0x40000000)) (br 0))
    unreachable)
  (func (export "fill_all") (type $t)
    (loop (memory.fill (i32.const 0) (i32.const 1) (i32.const 0x100000)) (br 0))
    unreachable)
  (func (export "fill_nothing") (type $t)
    (loop (memory.fill (i32.const 0) (i32.const 1) (i32.const 0)) (br 0))
    unreachable)
  (func (export "fill_4GiB") (type $t)
    (loop (memory.fill (i32.const 0) (i32.const 1) (i32.const -1)) (br 0))
    unreachable)
  (func (export "copy_all") (type $t)
    (loop (memory.copy (i32.const 0) (i32.const 0x80000) (i32.const 0x80000)) (br 0))
    unreachable)
  (func (export "copy_little") (type $t)
    (loop (memory.copy (i32.const 1) (i32.const 0x80000) (i32.const 15)) (br 0))
    unreachable)
  (func (export "init_bytes") (type $t)
    (loop (memory.init $bytes (i32.const 0) (i32.const 0) (i32.const 16)) (br 0))
    unreachable)
  (func (export "table_copy") (type $t)
    (loop (table.copy (i32.const 0) (i32.const 0) (i32.const 3)) (br 0))
    unreachable)
  (func (export "table_init") (type $t)
    (loop (table.init $passive (i32.const 3) (i32.const 0) (i32.const 1)) (br 0))
    unreachable)
  (func (export "grow") (type $t)
    (loop (drop (memory.grow (i32.const 1))) (br 0))
    unreachable)
  (func (export "grow_by_nothing") (type $t)
    (loop (drop (memory.grow (i32.const 0))) (br 0))
    unreachable)

  (func (export "host_calls") (type $t)
    (loop (drop (call $host (i32.const 1))) (br 0))
    unreachable)
  (func (export "host_calls_by_table") (type $t)
    (loop (drop (call_indirect (type $t) (i32.const 1) (i32.const 1))) (br 0))
    unreachable)
  (func $again (export "indirect_recursion") (type $t)
    (call_indirect (type $t) (local.get 0) (i32.const 0)))
  (func (export "indirect_calls") (type $t)
    (loop (drop (call_indirect (type $t) (i32.const 1) (i32.const 2))) (br 0))
    unreachable)

  (func (export "divisions") (type $t)
    (loop
      (local.set 0 (i32.or (i32.const 1) (i32.div_u (i32.const -1) (i32.or (i32.const 1) (local.get 0)))))
      (br 0))
    unreachable)
  (func (export "remainders") (type $t) (local i64)
    (loop
      (local.set 1 (i64.rem_s (i64.const 0x7fffffffffffffff) (i64.or (i64.const 3) (local.get 1))))
      (br 0))
    unreachable)
  (func (export "roots") (type $t) (local f64)
    (local.set 1 (f64.const 1e300))
    (loop (local.set 1 (f64.sqrt (f64.div (f64.const 1e300) (local.get 1)))) (br 0))
    unreachable)
  (func (export "conversions") (type $t) (local f64)
    (loop
      (local.set 1 (f64.convert_i64_u (i64.trunc_sat_f64_u (f64.nearest (local.get 1)))))
      (br 0))
    unreachable)
  ;; Loads that depend on each other and miss caches.
  (func (export "loads") (type $t) (local i32)
    (loop
      (local.set 0
        (i32.load (i32.and (i32.const 0xffff0)
          (i32.add (local.get 0) (i32.mul (i32.const 0x9e3779b1) (local.tee 1 (i32.add (local.get 1) (i32.const 1))))))))
      (br 0))
    unreachable)
)
