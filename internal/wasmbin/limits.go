package wasmbin

// Limits on what a module may hold. They are far above what compilers emit, and
// keep the time and memory that a module costs, here and in the engine, in
// proportion to its bytes: several of these counts are otherwise only numbers
// that a file of ten bytes can claim.
const (
	MaxModuleBytes  = 256 << 20
	MaxTypes        = 100_000
	MaxParams       = 1_000 // of a function type; results have the same limit
	MaxFunctions    = 1_000_000
	MaxImports      = 100_000
	MaxExports      = 100_000
	MaxGlobals      = 100_000
	MaxTags         = 100_000
	MaxTables       = 100
	MaxElementItems = 2_000_000 // over all element segments
	MaxDataSegments = 1_000_000
	// MaxDroppedSegments bounds the data segments that a program drops, if it
	// initializes memory from segments at all: each becomes a global.
	MaxDroppedSegments = 1_000
	MaxLocals          = 50_000     // of one function, its parameters included
	MaxLocalsInAll     = 10_000_000 // over all functions
	MaxNesting         = 20_000     // of blocks in a function
	// MaxFunctionBytes is forty times the largest function of CPython and of the
	// Go standard library: the engine's compiler takes several hundred bytes of
	// memory per byte of a function while it is at it.
	MaxFunctionBytes = 2 << 20
	// MaxNameBytes is what is kept of the name of a function: the engine writes
	// thirty of them into the text of every trap.
	MaxNameBytes = 4096
	// MaxBranchings bounds the squares of the numbers of blocks, calls and jump
	// targets in each function, summed over all functions: the engine's compiler
	// takes time in proportion to it, half a minute here. The largest programs
	// known need a tenth.
	MaxBranchings = 10_000_000_000
	// MaxTableItems bounds the sum of the sizes of all tables unless the options
	// say otherwise.
	MaxTableItems = 10_000_000
	// arityPerByte bounds how many operands the blocks, branches and calls of a
	// function move, per byte of its body. A block type is an index of one byte
	// and can stand for a thousand values.
	// The first freeArity are free.
	arityPerByte = 2
	freeArity    = 10_000
)
