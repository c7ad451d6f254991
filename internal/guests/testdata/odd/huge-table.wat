(module ;; Wants a table of 4 billion entries.
  (memory (export "memory") 1)
  (table 0xffffffff funcref)
  (func (export "_start")))
