;; Blocks, branches and calls, flat and folded, which must come out the same.
(module $control
  (type $unary (func (param i32) (result i32)))
  (type $unused (func (param f64 f64)))
  (type $twice (func (param i32) (result i32))) ;; the same as $unary, but a type of its own
  (table $handlers 4 8 funcref)
  (elem (i32.const 0) $countdown $choose)

  (func $countdown (type $unary)
    (local $left i32) (local i64 i64) (local $sum i32)
    local.get 0
    local.set $left
    block $done
      loop $again
        local.get $left
        i32.eqz
        br_if $done
        local.get $sum
        local.get $left
        i32.add
        local.set $sum
        local.get $left
        i32.const 1
        i32.sub
        local.set $left
        br $again
      end $again
    end $done
    local.get $sum)

  (func $folded (type $twice) (param $n i32) (result i32)
    (local $left i32) (local i64 i64) (local $sum i32)
    (local.set $left (local.get 0))
    (block $done
      (loop $again
        (br_if $done (i32.eqz (local.get $left)))
        (local.set $sum (i32.add (local.get $sum) (local.get $left)))
        (local.set $left (i32.sub (local.get $left) (i32.const 1)))
        (br $again)))
    (local.get $sum))

  (func $choose (param $x i32) (result i32)
    (if (result i32) (i32.gt_s (local.get $x) (i32.const 10))
      (then (i32.const 1))
      (else
        (if $inner (result i32) (local.get $x)
          (then (br $inner (i32.const 2)))
          (else (i32.const 3))))))

  (func $flat-if (param $x i32) (result i32)
    local.get $x
    if $outer (result i32)
      i32.const 7
      br $outer
    else $outer
      local.get $x
      if
        nop
      end
      local.get $x
      if
        nop
      else
        unreachable
      end
      local.get $x
      if
      else
      end
      i32.const 8
    end $outer)

  (func $empty-arms (param i32)
    (if (local.get 0) (then))
    (if (local.get 0) (then) (else))
    (if (local.get 0) (then nop) (else nop)))

  (func $table (param $x i32) (result i32)
    (block $a
      (block $b
        (block $c
          (br_table $a $b 0 $c 1 (local.get $x)
            ))
        (return (i32.const 10)))
      (return (i32.const 20)))
    i32.const 30)

  (func $many (param i32 i64) (result i64 i32)
    local.get 0
    local.get 1
    block (param i32 i64) (result i64 i32)
      call $swap
    end
    (block (type $pair) (call $twist))
    loop (param i64) (param i32) (result i64) (result i32)
    end)

  (func $swap (param $a i32) (param $b i64) (result i64) (result i32)
    (local.get $b) (local.get $a))
  (func $twist (type $pair) (local.get 0) (local.get 1))
  (type $pair (func (param i64 i32) (result i64 i32)))

  (func $indirect (param $which i32) (result i32)
    (call_indirect (type $unary) (i32.const 5)
      (call_indirect $handlers (param f32) (result i32) (f32.const 1) (local.get $which)))
    drop
    i32.const 2
    local.get $which
    call_indirect $handlers (type $twice) (param i32) (result i32))

  (func $choice (param f64 f64 i32) (result f64)
    (select (local.get 0) (local.get 1) (local.get 2))
    (drop)
    local.get 0
    local.get 1
    local.get 2
    select (result f64))
)
