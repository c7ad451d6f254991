(module ;; Not a command: nothing to start.
  (memory (export "memory") 1)
  (func (export "main")))
