;; A module without (module …), and a memory that its data makes.
(memory $m (export "memory") (data "hello" " world"))
(func $length (export "length") (result i32) i32.const 11)
(func (export "bulk") (param i32)
  (memory.copy (i32.const 100) (i32.const 0) (call $length))
  (memory.fill (i32.const 200) (i32.const 0xAA) (local.get 0))
  (i64.store32 offset=8 align=2 (i32.const 0) (i64.load16_s (i32.const 2)))
  (drop (memory.grow (memory.size))))
