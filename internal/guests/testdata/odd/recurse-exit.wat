(module ;; Leaves from the depth of a recursion.
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (func $down (param $n i32)
    (if (i32.eqz (local.get $n)) (then (call $exit (i32.const 5))))
    (call $down (i32.sub (local.get $n) (i32.const 1)))
    (unreachable))
  (func (export "_start") (call $down (i32.const 500))))
