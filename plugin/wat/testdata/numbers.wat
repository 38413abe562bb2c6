;; Every way to write a number, and those at the edges.
(module
  (func (result i32)
    (i32.const 0) drop (i32.const -0) drop (i32.const +1) drop
    (i32.const 2147483647) drop (i32.const -2147483648) drop (i32.const 4294967295) drop
    (i32.const 0xFFFF_FFFF) drop (i32.const -0x8000_0000) drop (i32.const 1_000_000) drop
    (i32.const 63) drop (i32.const 64) drop (i32.const -64) drop (i32.const -65) drop
    (i32.const 0x0aBcDeF))
  (func (result i64)
    (i64.const 9223372036854775807) drop (i64.const -9223372036854775808) drop
    (i64.const 18446744073709551615) drop (i64.const 0xffff_ffff_ffff_ffff) drop (i64.const -1) drop
    (i64.const 0x7fff_ffff_ffff_ffff))
  (func (result f32)
    (f32.const 0) drop (f32.const -0) drop (f32.const +1.5) drop (f32.const 1.) drop (f32.const 1e3) drop
    (f32.const 1.5E-3) drop (f32.const 0x1p-149) drop (f32.const 0x1.fffffep+127) drop (f32.const 340282346638528859811704183484516925440) drop
    (f32.const 0x1.000001p0) drop (f32.const 0x1.000001000001p0) drop (f32.const 1.00000005960464477540) drop
    (f32.const 0x1_0.8_0P1_0) drop (f32.const 1_0.2_5e0_1) drop (f32.const 0x10) drop
    (f32.const inf) drop (f32.const -inf) drop (f32.const nan) drop (f32.const -nan) drop (f32.const nan:0x1) drop
    (f32.const nan:0x7f_ffff) drop (f32.const 1e-60) drop (f32.const 16777217))
  (func (result f64)
    (f64.const 3.141592653589793) drop (f64.const 4.9e-324) drop (f64.const 0x1p-1074) drop (f64.const 0x1.fffffffffffffp1023) drop
    (f64.const 1.7976931348623157e308) drop (f64.const nan:0x123456789abcd) drop (f64.const -nan:0x8_0000_0000_0000) drop
    (f64.const +inf) drop (f64.const +nan) drop (f64.const 9007199254740993) drop (f64.const 0x1.00000000000008p0) drop
    (f64.const 0x1.000000000000080000000000000000001p0) drop (f64.const 0xabc.def) drop (f64.const 1e-400))
)
