package binary

// Limits on what a component may hold. They are those of other engines where
// these have one, and far above what compilers emit.
const (
	maxBytes     = 256 << 20 // of the whole component
	maxNameBytes = 100_000
	// maxNesting bounds how deep components, component types and instance types
	// lie in each other, and how deep the types that they are made of do.
	maxNesting = 100
	// maxTypeDepth bounds how deep value types lie in each other.
	maxTypeDepth = 100
	// maxTypeSize bounds the size of a type with all that it is made of, in
	// types, each counted as often as it occurs. So no value takes 2^28 bytes of
	// memory either, as Binary.md has it: lists of a fixed length are refused.
	maxTypeSize = 1_000_000

	maxTypes      = 1_000_000 // in all scopes together
	maxFuncs      = 1_000_000
	maxItems      = 1_000_000 // of core tables, memories, globals or tags, each
	maxExterns    = 1_000_000 // imports or exports, each
	maxModules    = 1_000
	maxComponents = 1_000
	maxInstances  = 1_000 // core instances included
	maxArgs       = 100_000
	maxOptions    = 10
	maxDecls      = 1_000_000 // of a component type or an instance type
	maxCoreDecls  = 100_000   // of a module type
	maxFields     = 10_000    // of a record, a tuple, a variant or an enum
	maxFlags      = 32
	maxParams     = 1_000

	// maxPages bounds a core memory.
	maxPages = 1 << 16
	// maxTableItems is what a core table may claim to begin with.
	maxTableItems = 10_000_000

	// Comparing types and replacing resource types in them takes time and memory
	// that no size of a binary bounds by itself: many small definitions can each
	// need all of a large type. So it is counted, in types looked at; freeWork are
	// free, and workPerByte for each byte that is not of a core module. A Python
	// interpreter with all of WASI, linked from 24 modules, takes 4,000.
	freeWork    = 500_000
	workPerByte = 4
)
