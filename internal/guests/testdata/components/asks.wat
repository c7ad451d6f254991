;; A component that asks something of the host before anything of it is called: its
;; start function reads a clock and draws a number. `jco parse asks.wat -o asks.wasm`
;; makes the binary.
(component
  (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock (export "now" (func (result u64)))))
  (import "wasi:random/random@0.2.0" (instance $random (export "get-random-u64" (func (result u64)))))
  (core func $now (canon lower (func $clock "now")))
  (core func $draw (canon lower (func $random "get-random-u64")))
  (core module $program
    (import "host" "now" (func $now (result i64)))
    (import "host" "draw" (func $draw (result i64)))
    (global $began (mut i64) (i64.const 0))
    (global $drawn (mut i64) (i64.const 0))
    (func $start
      (global.set $began (call $now))
      (global.set $drawn (call $draw)))
    (start $start)
    (func (export "began") (result i64) (global.get $began))
    (func (export "drawn") (result i64) (global.get $drawn)))
  (core instance $i (instantiate $program (with "host" (instance
    (export "now" (func $now)) (export "draw" (func $draw))))))
  (type $f (func (result u64)))
  (func (export "began") (type $f) (canon lift (core func $i "began")))
  (func (export "drawn") (type $f) (canon lift (core func $i "drawn"))))
