;; A library that waits for promises, each labelled "ask", of numbers as text. It
;; adds up what it is told.
(module
  (import "waterbear:durable/context@0.1.0" "current" (func $current (param i32)))
  (import "waterbear:durable/promises@0.1.0" "create" (func $create (param i32 i32 i32)))
  (import "waterbear:durable/promises@0.1.0" "wait" (func $wait (param i32 i32 i32)))
  (import "waterbear:durable/promises@0.1.0" "wait-any" (func $wait-any (param i32 i32 i32 i64 i32)))
  (import "waterbear:durable/promises@0.1.0" "withdraw" (func $withdraw (param i32 i32 i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "ask")
  (global $sum (mut i64) (i64.const 0))
  (global $heap (mut i32) (i32.const 0))

  ;; Results are put to 64, the name of the promise is what 128 and 132 say.
  (func $make
    (global.set $heap (i32.const 4096))
    (call $create (i32.const 16) (i32.const 3) (i32.const 64))
    (if (i32.load8_u (i32.const 64)) (then unreachable))
    (i32.store (i32.const 128) (i32.load (i32.const 68)))
    (i32.store (i32.const 132) (i32.load (i32.const 72))))

  ;; Gives the number, -1 if the promise fails.
  (func $take (result i64)
    (local $at i32) (local $end i32) (local $n i64)
    (call $wait (i32.load (i32.const 128)) (i32.load (i32.const 132)) (i32.const 64))
    (if (i32.load8_u (i32.const 64)) (then unreachable))
    (if (i32.load8_u (i32.const 68)) (then (return (i64.const -1))))
    (local.set $at (i32.load (i32.const 72)))
    (local.set $end (i32.add (local.get $at) (i32.load (i32.const 76))))
    (block $done
      (loop $digit
        (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
        (local.set $n (i64.add (i64.mul (local.get $n) (i64.const 10))
          (i64.sub (i64.load8_u (local.get $at)) (i64.const 48))))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br $digit)))
    (global.set $sum (i64.add (global.get $sum) (local.get $n)))
    (local.get $n))

  ;; Waits for a promise, for so many milliseconds if not 0: then it gives -2.
  (func (export "ask") (param $milliseconds i64) (result i64)
    (call $make)
    (if (i64.ne (local.get $milliseconds) (i64.const 0))
      (then
        (call $wait-any (i32.const 128) (i32.const 1) (i32.const 1)
          (i64.mul (local.get $milliseconds) (i64.const 1000000)) (i32.const 64))
        (if (i32.load8_u (i32.const 64)) (then unreachable))
        (if (i32.eqz (i32.load8_u (i32.const 68)))
          (then
            (call $withdraw (i32.load (i32.const 128)) (i32.load (i32.const 132)) (i32.const 64))
            (if (i32.load8_u (i32.const 64)) (then unreachable))
            (return (i64.const -2))))))
    (call $take))

  ;; Waits for a promise, in the n-th attempt that makes it.
  (func (export "insist") (param $n i64) (result i64)
    (call $make)
    (call $current (i32.const 192))
    (if (i64.lt_u (i64.load (i32.const 232)) (local.get $n)) (then unreachable))
    (call $take))

  (func (export "inc") (param $n i64) (result i64)
    (global.set $sum (i64.add (global.get $sum) (local.get $n)))
    (global.get $sum))

  (func (export "get") (result i64) (global.get $sum))

  (func (export "cabi_realloc") (param i32 i32) (param $align i32) (param $size i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and
      (i32.add (global.get $heap) (i32.sub (local.get $align) (i32.const 1)))
      (i32.sub (i32.const 0) (local.get $align))))
    (global.set $heap (i32.add (local.get $at) (local.get $size)))
    (local.get $at)))
