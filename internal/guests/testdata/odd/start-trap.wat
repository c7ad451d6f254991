(module ;; The start function traps.
  (memory (export "memory") 1)
  (func $trap (unreachable))
  (start $trap)
  (func (export "_start")))
