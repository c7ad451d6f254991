package wasmbin

// The instructions that some pass looks at, or that are written.
const (
	opUnreachable        = 0x00
	opNop                = 0x01
	opBlock              = 0x02
	opLoop               = 0x03
	opIf                 = 0x04
	opElse               = 0x05
	opThrow              = 0x08
	opThrowRef           = 0x0a
	opEnd                = 0x0b
	opBr                 = 0x0c
	opBrIf               = 0x0d
	opBrTable            = 0x0e
	opReturn             = 0x0f
	opCall               = 0x10
	opCallIndirect       = 0x11
	opReturnCall         = 0x12
	opReturnCallIndirect = 0x13
	opDrop               = 0x1a
	opSelectTyped        = 0x1c
	opTryTable           = 0x1f
	opLocalGet           = 0x20
	opLocalSet           = 0x21
	opLocalTee           = 0x22
	opGlobalGet          = 0x23
	opGlobalSet          = 0x24
	opTableGet           = 0x25
	opTableSet           = 0x26
	opMemorySize         = 0x3f
	opMemoryGrow         = 0x40
	opI32Const           = 0x41
	opI64Const           = 0x42
	opF32Const           = 0x43
	opF64Const           = 0x44
	opI32Eqz             = 0x45
	opI32Ne              = 0x47
	opI32LtS             = 0x48
	opI32LtU             = 0x49
	opI32GtU             = 0x4b
	opI32LeU             = 0x4d
	opI32GeS             = 0x4e
	opI32GeU             = 0x4f
	opI64GtU             = 0x56
	opI32Add             = 0x6a
	opI32Sub             = 0x6b
	opI32Mul             = 0x6c
	opI32And             = 0x71
	opI32Or              = 0x72
	opI32ShrU            = 0x76
	opI64Add             = 0x7c
	opI64Sub             = 0x7d
	opI64Mul             = 0x7e
	opI64Shl             = 0x86
	opI64ExtendI32U      = 0xad
	opRefNull            = 0xd0
	opRefFunc            = 0xd2
	opGCPrefix           = 0xfb
	opMiscPrefix         = 0xfc
	opVectorPrefix       = 0xfd

	blockEmpty = 0x40 // the type of a block without parameters and results

	miscMemoryInit = 8
	miscDataDrop   = 9
	miscMemoryCopy = 10
	miscMemoryFill = 11
	miscTableInit  = 12
	miscElemDrop   = 13
	miscTableCopy  = 14
	miscTableGrow  = 15
	miscTableSize  = 16
	miscTableFill  = 17

	vecConst = 12
)

// operands says what follows an instruction's opcode.
type operands byte

const (
	unknown operands = iota
	none
	blockType
	label
	labels
	function_
	tag
	local
	globalIndex
	tableIndex
	memoryAccess
	memoryIndex
	number32
	number64
	bytes4
	bytes8
	special // read by code of its own
	gc
	functionReference
	legacyException
	atomic
	stackSwitch
)

// operandsOf gives the operands of each one-byte instruction.
var operandsOf = func() (t [256]operands) {
	set := func(o operands, from, to int) {
		for i := from; i <= to; i++ {
			t[i] = o
		}
	}
	set(none, opUnreachable, opNop)
	set(blockType, opBlock, opIf)
	set(none, opElse, opElse)
	set(legacyException, 0x06, 0x07)
	set(tag, opThrow, opThrow)
	set(legacyException, 0x09, 0x09)
	set(none, opThrowRef, opEnd)
	set(label, opBr, opBrIf)
	set(labels, opBrTable, opBrTable)
	set(none, opReturn, opReturn)
	set(special, opCall, opReturnCallIndirect)
	set(functionReference, 0x14, 0x15)
	set(legacyException, 0x18, 0x19)
	set(none, 0x1a, 0x1b) // drop, select
	set(special, opSelectTyped, opSelectTyped)
	set(special, opTryTable, opTryTable)
	set(local, opLocalGet, opLocalTee)
	set(globalIndex, opGlobalGet, opGlobalSet)
	set(tableIndex, opTableGet, opTableSet)
	set(memoryAccess, 0x28, 0x3e)
	set(memoryIndex, opMemorySize, opMemoryGrow)
	set(number32, opI32Const, opI32Const)
	set(number64, opI64Const, opI64Const)
	set(bytes4, opF32Const, opF32Const)
	set(bytes8, opF64Const, opF64Const)
	set(none, 0x45, 0xc4) // numeric
	set(special, opRefNull, opRefNull)
	set(none, 0xd1, 0xd1) // ref.is_null
	set(special, opRefFunc, opRefFunc)
	set(gc, 0xd3, 0xd3)
	set(functionReference, 0xd4, 0xd6)
	set(stackSwitch, 0xe0, 0xe6)
	set(gc, opGCPrefix, opGCPrefix)
	set(special, opMiscPrefix, opVectorPrefix)
	set(atomic, 0xfe, 0xfe)
	return t
}()

// vectorOperands gives the operands of a vector instruction: a memory access,
// lanes, both, or neither.
func vectorOperands(op uint32) (memory bool, lanes int, ok bool) {
	switch {
	case op <= 11, op == 92, op == 93:
		return true, 0, true
	case op == vecConst, op == 13:
		return false, 16, true
	case op >= 21 && op <= 34:
		return false, 1, true
	case op >= 84 && op <= 91:
		return true, 1, true
	}
	switch op {
	case 0x9a, 0xa2, 0xa5, 0xa6, 0xaf, 0xb0, 0xb2, 0xb3, 0xb4, 0xbb, 0xc2, 0xc5, 0xc6,
		0xcf, 0xd0, 0xd2, 0xd3, 0xd4, 0xe2, 0xee:
		return false, 0, false
	}
	return false, 0, op <= 0xff
}
