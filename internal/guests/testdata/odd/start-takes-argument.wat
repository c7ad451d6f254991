(module ;; _start has the wrong type.
  (memory (export "memory") 1)
  (func (export "_start") (param i32)))
