;; A component that calls its own functions from outside: down(n) calls itself n
;; times, each time by way of its own component instance.
(component
  (core module $shim
    (table (export "table") 1 funcref)
    (type $f (func (param i32) (result i32)))
    (func (export "again") (param i32) (result i32)
      (call_indirect (type $f) (local.get 0) (i32.const 0))))
  (core instance $shim (instantiate $shim))
  (core module $main
    (import "shim" "again" (func $again (param i32) (result i32)))
    (func (export "down") (param i32) (result i32)
      (if (i32.eqz (local.get 0)) (then (return (i32.const 0))))
      (i32.add (call $again (i32.sub (local.get 0) (i32.const 1))) (i32.const 1))))
  (core instance $main (instantiate $main (with "shim" (instance $shim))))
  (func $down (param "n" u32) (result u32) (canon lift (core func $main "down")))
  (core func $lowered (canon lower (func $down)))
  (core module $fixup
    (import "" "table" (table 1 funcref))
    (import "" "down" (func $down (param i32) (result i32)))
    (elem (i32.const 0) func $down))
  (core instance (instantiate $fixup (with "" (instance
    (export "table" (table $shim "table"))
    (export "down" (func $lowered))))))
  (export "down" (func $down))

  ;; The same without any code: each function is the one before, lowered and lifted.
  (core func $c1 (canon lower (func $down)))
  (func $f1 (param "n" u32) (result u32) (canon lift (core func $c1)))
  (core func $c2 (canon lower (func $f1)))
  (func $f2 (param "n" u32) (result u32) (canon lift (core func $c2)))
  (export "lifted" (func $f2))

  ;; A child that its parent calls calls back, and the parent calls it again.
  (component $child
    (import "up" (func $up (param "n" u32) (result u32)))
    (core func $up-core (canon lower (func $up)))
    (core module $m
      (import "" "up" (func $up (param i32) (result i32)))
      (func (export "over") (param i32) (result i32)
        (if (i32.eqz (local.get 0)) (then (return (i32.const 0))))
        (call $up (i32.sub (local.get 0) (i32.const 1)))))
    (core instance $m (instantiate $m (with "" (instance (export "up" (func $up-core))))))
    (func (export "over") (param "n" u32) (result u32) (canon lift (core func $m "over"))))
  (core module $shim2
    (table (export "table") 1 funcref)
    (type $f (func (param i32) (result i32)))
    (func (export "up") (param i32) (result i32)
      (if (i32.eqz (local.get 0)) (then (return (i32.const 7))))
      (call_indirect (type $f) (local.get 0) (i32.const 0))))
  (core instance $shim2 (instantiate $shim2))
  (func $up (param "n" u32) (result u32) (canon lift (core func $shim2 "up")))
  (instance $c (instantiate $child (with "up" (func $up))))
  (core func $over (canon lower (func $c "over")))
  (core instance (instantiate $fixup (with "" (instance
    (export "table" (table $shim2 "table"))
    (export "down" (func $over))))))
  (export "over" (func $c "over"))
  (export "up" (func $up))
)
