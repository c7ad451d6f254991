(module ;; A library that changes, when it is told to, a table and what else no image holds.
  (type $value (func (result i32)))
  (memory (export "memory") 1)
  (table $table 4 8 funcref)
  (global $reference (mut funcref) (ref.null func))
  (global $vector (mut v128) (v128.const i32x4 0 0 0 0))
  (elem (table $table) (i32.const 0) func $ten $twenty)
  (elem $more func $thirty $forty)
  (func $ten (result i32) (i32.const 10))
  (func $twenty (result i32) (i32.const 20))
  (func $thirty (result i32) (i32.const 30))
  (func $forty (result i32) (i32.const 40))

  ;; What changes nothing else: a counter in memory, and looking.
  (func (export "inc") (param i32) (result i32)
    (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (local.get 0)))
    (i32.load (i32.const 0)))
  (func (export "call") (param i32) (result i32) (call_indirect $table (type $value) (local.get 0)))
  (func (export "size") (result i32) (table.size $table))
  (func (export "held") (result i32) (i32.eqz (ref.is_null (global.get $reference))))
  (func (export "lane") (result i32) (i32x4.extract_lane 3 (global.get $vector)))

  ;; What changes it.
  (func (export "set") (param i32 i32) (table.set $table (local.get 0) (table.get $table (local.get 1))))
  (func (export "grow") (param i32) (result i32) (table.grow $table (table.get $table (i32.const 0)) (local.get 0)))
  (func (export "fill") (param i32 i32 i32) (table.fill $table (local.get 0) (table.get $table (local.get 1)) (local.get 2)))
  (func (export "copy") (param i32 i32 i32) (table.copy $table $table (local.get 0) (local.get 1) (local.get 2)))
  (func (export "init") (param i32) (table.init $table $more (local.get 0) (i32.const 0) (i32.const 2)))
  (func (export "drop") (elem.drop $more))
  (func (export "hold") (param i32) (global.set $reference (table.get $table (local.get 0))))
  (func (export "splat") (param i32) (global.set $vector (i32x4.splat (local.get 0))))

  ;; What changes it in vain.
  (func (export "fail") (table.set $table (i32.const 0) (ref.null func)) (unreachable)))
