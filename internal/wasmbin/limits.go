package wasmbin

// Limits on what a module may hold. They are far above what compilers emit, and
// keep the time and memory that a module costs, here and in the engine, in
// proportion to its bytes: several of these counts are otherwise only numbers
// that a file of ten bytes can claim.
const (
	maxModuleBytes  = 256 << 20
	maxTypes        = 100_000
	maxParams       = 1_000 // of a function type; results have the same limit
	maxFunctions    = 1_000_000
	maxImports      = 100_000
	maxExports      = 100_000
	maxGlobals      = 100_000
	maxTags         = 100_000
	maxTables       = 100
	maxElementItems = 2_000_000 // over all element segments
	maxDataSegments = 1_000_000
	// maxDroppedSegments bounds the data segments that a program drops, if it
	// initializes memory from segments at all: each becomes a global.
	maxDroppedSegments = 1_000
	maxLocals          = 50_000     // of one function, its parameters included
	maxLocalsInAll     = 10_000_000 // over all functions
	maxNesting         = 20_000     // of blocks in a function
	// maxFunctionBytes is forty times the largest function of CPython and of the
	// Go standard library: the engine's compiler takes several hundred bytes of
	// memory per byte of a function while it is at it.
	maxFunctionBytes = 2 << 20
	// maxNameBytes is what is kept of the name of a function: the engine writes
	// thirty of them into the text of every trap.
	maxNameBytes = 4096
	// maxTableItems bounds the sum of the sizes of all tables unless the options
	// say otherwise.
	maxTableItems = 10_000_000
	// arityPerByte bounds how many operands the blocks, branches and calls of a
	// function move, per byte of its body. A block type is an index of one byte
	// and can stand for a thousand values. The first freeArity are free.
	arityPerByte = 2
	freeArity    = 10_000
	// A base image spans no more than freeBaseBytes and basePerByte for each byte
	// of the source: segments that are far apart stay in the module.
	freeBaseBytes = 16 << 20
	basePerByte   = 4
)
