;; The instructions on vectors that have immediates.
(module
  (memory 1)
  (func (export "constants") (result v128)
    (v128.const i8x16 0 1 2 3 4 5 6 7 8 9 10 11 12 -128 255 0xff) drop
    (v128.const i16x8 0 1 -1 -32768 65535 0x7fff 6 7) drop
    (v128.const i32x4 0 -1 0x80000000 4294967295) drop
    (v128.const i64x2 -1 0x8000_0000_0000_0000) drop
    (v128.const f32x4 0 -0 nan:0x1 inf) drop
    v128.const f64x2 1.5 -nan)
  (func (export "lanes") (param v128 i32 i64 f32 f64) (result v128)
    (i8x16.extract_lane_s 15 (local.get 0)) drop
    (i8x16.extract_lane_u 0 (local.get 0)) drop
    (i16x8.extract_lane_s 7 (local.get 0)) drop
    local.get 0
    i64x2.extract_lane 1
    drop
    (i8x16.replace_lane 3 (local.get 0) (local.get 1))
    (i64x2.replace_lane 1 (local.get 2))
    (f32x4.replace_lane 3 (local.get 3))
    (f64x2.replace_lane 0 (local.get 4))
    local.get 0
    (i8x16.shuffle 0 1 2 3 4 5 6 7 16 17 18 19 20 21 22 31))
  (func (export "memory") (param $at i32) (param $v v128) (result v128)
    (v128.store offset=32 align=1 (local.get $at) (v128.load offset=16 (local.get $at)))
    (v128.store8_lane 15 (local.get $at) (local.get $v))
    (v128.store16_lane offset=4 7 (local.get $at) (local.get $v))
    (v128.store32_lane align=2 3 (local.get $at) (local.get $v))
    (v128.store64_lane offset=0xffff_ffff align=8 1 (local.get $at) (local.get $v))
    (v128.load64_lane offset=8 align=4 0 (local.get $at)
      (v128.load8_lane 9 (local.get $at) (v128.load32_zero (local.get $at))))
    (v128.load8x8_u align=2 (local.get $at))
    (v128.load64_splat offset=1 align=8 (local.get $at))
    v128.bitselect)
)
