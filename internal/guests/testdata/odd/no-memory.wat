(module ;; There is no memory for the host to write to or read from.
  ;; A host that is strict refuses it.
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (func (export "_start")
    (drop (call $random (i32.const 0) (i32.const 8)))
    (call $exit (i32.ne (i32.const 0) (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))))
