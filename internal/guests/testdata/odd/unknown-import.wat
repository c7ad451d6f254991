(module ;; Needs a host that is not there.
  (import "env" "frobnicate" (func (param i32)))
  (memory (export "memory") 1)
  (func (export "_start")))
