(module ;; The memory is to come from elsewhere.
  (import "env" "memory" (memory 1))
  (func (export "_start")))
