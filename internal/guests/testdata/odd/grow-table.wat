(module ;; Grows a table until it is told to stop.
  (memory (export "memory") 1)
  (table 1 funcref)
  (func (export "_start")
    (loop
      (br_if 0 (i32.ne (i32.const -1) (table.grow (ref.null func) (i32.const 0x100000)))))))
