// Package wasmbin prepares a core WebAssembly module for the runtime.
//
// The engine below is used as it is, so what a durable process needs beyond it
// is put into the program once, when it is deployed: hidden state becomes
// reachable by exports, data that an instance begins with becomes an image that
// all of them share, the start section becomes an export that is called on
// fresh starts only, and code that runs for long calls an imported function now
// and then, because compiled guest code has no point of its own at which it can
// be stopped. Rewrite does all of it and changes nothing the program can see.
//
// The package also stands guard: what it emits is well formed and within the
// named limits of limits.go, whatever it was given. A module that is damaged is
// refused with a MalformedError, one that needs what the engine lacks with an
// UnsupportedError, which says how to avoid it, and one that is too large with a
// LimitError. It decides structure, indexes and features; the types of operands
// are left to the engine's own validation of the result.
package wasmbin

// Version names the form of what Rewrite returns. It changes whenever the same
// source gives another result, so it belongs in the key of every compile cache.
const Version = "7"

// Names that Rewrite puts into modules.
const (
	// YieldModule and YieldName name the inserted import, of type [i32] -> [].
	// Its argument is one of the Yield reasons.
	YieldModule = "waterbear:runtime"
	YieldName   = "yield"
	// EmptyModule replaces the empty module name of an import, which the engine
	// refuses and older toolchains emit.
	EmptyModule = "waterbear:empty"
)

// Reasons that a guest gives when it calls the yield import.
const (
	// YieldTick says that the guest has run for a while: let others run, stop it
	// by a panic if it is to stop, and otherwise return.
	YieldTick = 0
	// YieldOverflow says that calls are nested too deeply. The host must not return.
	YieldOverflow = 1
)

// What an instance may have changed that neither its memory nor its numeric
// globals tell: the bits of the global Rewritten.Changed.
const (
	// ChangedTable is for table.set, table.grow, table.fill, table.copy and
	// table.init.
	ChangedTable = 1 << iota
	// ChangedSegment is for elem.drop, if anything can tell that a segment is
	// gone.
	ChangedSegment
	// ChangedReference is for a global that holds a reference.
	ChangedReference
	// ChangedVector is for a global that holds a vector.
	ChangedVector
)

// DefaultStack is how many bytes of stack the calls of a guest may take.
const DefaultStack = 64 << 20

// ValueType is a value type in the encoding of the binary format.
type ValueType byte

// The value types of the accepted features.
const (
	I32       ValueType = 0x7f
	I64       ValueType = 0x7e
	F32       ValueType = 0x7d
	F64       ValueType = 0x7c
	V128      ValueType = 0x7b
	FuncRef   ValueType = 0x70
	ExternRef ValueType = 0x6f
	ExnRef    ValueType = 0x69
)

// Kind is what an import or export is.
type Kind byte

// The kinds of imports and exports.
const (
	Func Kind = iota
	Table
	Memory
	Global
	Tag
)

// FuncType is the type of a function.
type FuncType struct{ Params, Results []ValueType }

// Import is an import of the source module.
type Import struct {
	Module, Name string
	Kind         Kind
	Type         FuncType // of a function
}

// Export is an export of the source module.
type Export struct {
	Name string
	Kind Kind
	Type FuncType // of a function
}

// Rewritten is a module made ready, and what its host must know about it.
type Rewritten struct {
	// Module is the binary to compile.
	Module []byte
	// Imports and Exports are those of the source, in its order and under its
	// names. An import of the empty module is named EmptyModule in Module.
	Imports []Import
	Exports []Export
	// Start is the export name of what was the start function, "" if there was none.
	Start string
	// Globals are the export names of all mutable numeric globals the module
	// defines, in index order: with the memory, the state of an instance, unless
	// Changed or Reasons say that there is more.
	Globals []string
	// Changed is the export name of an i32 global that tells what else the
	// program has changed, as bits from ChangedTable on, "" if it can change
	// nothing else. It begins as 0, and a bit is set before the change, whether
	// or not that succeeds. Such state cannot be read or set, and is the same in
	// all instances until it is changed.
	Changed string
	// Memory is the export name of the memory, "" if the module has none of its
	// own.
	Memory string
	// MemoryImport is the number of the import that is the memory, -1 if none is.
	MemoryImport int
	// Elements is the export name of a function that writes the element segments,
	// which is to be called on every instance before anything else of it; "" if
	// there is none.
	Elements string
	// Data is the export name of a function that writes the data segments, which
	// is to be called on a fresh start before the start function; "" if there is
	// none.
	Data string
	// InstanceBytes estimates what an instance takes of the host's memory, without
	// its linear memory.
	InstanceBytes uint64
	// Stack is the export name, "" in a linked module, of the i32 global that holds how many bytes of
	// the stack are left for calls, by an estimate of what they take. It begins
	// as DefaultStack. Because a trap leaves it as it was then, it is to be set
	// before every call that no other call of the instance is around, and set
	// back after one inside a host function that failed; at rest it is no part
	// of the state.
	Stack string
	// MemoryMin and MemoryMax are the declared limits of the module's own memory
	// in pages of 64 KiB; without a declared maximum MemoryMax is the largest possible.
	MemoryMin, MemoryMax uint32
	// Base is what active data segments write to the memory, which is zero
	// elsewhere. They are no longer in Module: the host has to put it into the
	// memory of an instance before anything of it runs. The runs begin and end at
	// multiples of 4 KiB, by offset, with zeros between them.
	Base []Run
	// ExceptionRefs tells that the module takes references to exceptions. It
	// then yields before each throw and try_table, so that the host can keep
	// the exceptions that the references are to.
	ExceptionRefs bool
	// Reasons say why the state of every instance is more than its globals and
	// memory, so that it cannot be imaged but only replayed. Empty: it can be
	// imaged as long as nothing is Changed.
	Reasons []string
}
