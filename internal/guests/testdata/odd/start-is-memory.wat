(module ;; _start is not even a function.
  (memory (export "_start") 1))
