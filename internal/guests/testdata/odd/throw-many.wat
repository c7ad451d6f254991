(module ;; Throws and catches again and again, as interpreters with coroutines do.
  (memory (export "memory") 1)
  (tag $oops (param i32))
  (func $throw (param i32) (throw $oops (local.get 0)))
  (func (export "_start") (local $i i32)
    (loop $again
      (block $caught (result i32)
        (try_table (catch $oops $caught) (call $throw (local.get $i)))
        (unreachable))
      (br_if 1 (i32.ne (local.get $i)))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $i) (i32.const 50000))))))
