package wasmbin

// Feature is a WebAssembly feature that is refused, and how to do without it.
type Feature struct{ Name, Advice string }

// What is refused. The names are those of the proposals.
var (
	featureComponent = Feature{
		"the component model",
		"this is a component, and this version runs core modules only; compile for wasm32-wasip1 instead of wasm32-wasip2, or extract the core module",
	}
	featureGC = Feature{
		"garbage collection (gc)",
		"no tool lowers it to linear memory; use a compiler that brings its own collector, such as Go, TinyGo, AssemblyScript or Grain",
	}
	featureFunctionReferences = Feature{
		"typed function references (function-references)",
		"compile without them (they come with -mgc and with the gc back ends of compilers); plain funcref tables and call_indirect do the same",
	}
	featureMemory64 = Feature{
		"64-bit memories (memory64)",
		"compile for wasm32 instead of wasm64, or run wasm-opt --memory64-lowering --table64-lowering",
	}
	featureMultiMemory = Feature{
		"several memories (multi-memory)",
		"run wasm-opt --multi-memory-lowering",
	}
	featureLegacyExceptions = Feature{
		"legacy exception handling (try, catch, delegate)",
		"run wasm-opt --translate-to-exnref, or compile with -mllvm -wasm-use-legacy-eh=false",
	}
	featureExceptionState = Feature{
		"exceptions in globals or tables (exnref)",
		"keep references to exceptions in local variables",
	}
	featureThreads = Feature{
		"threads (shared memory and atomics)",
		"compile without -pthread and -matomics, for wasm32-wasip1 instead of wasm32-wasip1-threads",
	}
	featurePageSizes = Feature{
		"custom page sizes (custom-page-sizes)",
		"link without --page-size, so that pages have 64 KiB",
	}
	featureRelaxedSIMD = Feature{
		"relaxed SIMD (relaxed-simd)",
		"compile without -mrelaxed-simd; its results would differ between processors",
	}
	featureHalfPrecision = Feature{
		"half-precision floats (fp16)",
		"compile without -mfp16",
	}
	featureWideArithmetic = Feature{
		"128-bit arithmetic (wide-arithmetic)",
		"compile without -mwide-arithmetic",
	}
	featureStackSwitching = Feature{
		"stack switching (continuations)",
		"compile without it; binaryen's wasm-opt --asyncify does the same for most programs",
	}
	featureMemoryControl = Feature{
		"memory control (memory.discard)",
		"compile without it",
	}
	featureConstGlobals = Feature{
		"constant expressions that read the module's own globals (extended-const of WebAssembly 3.0)",
		"run wasm-opt --simplify-globals",
	}
	featureTypeImports = Feature{
		"imports of types and other kinds WebAssembly 2.0 does not have",
		"compile for WebAssembly 2.0",
	}
	featureJavaScript = Feature{
		"JavaScript as its host",
		"compile for WASI, in Go with GOOS=wasip1 instead of GOOS=js, in Rust for wasm32-wasip1 instead of wasm32-unknown-unknown",
	}
)

// javaScriptModules are what programs import that were compiled to run beside the
// JavaScript that their compiler wrote.
var javaScriptModules = []string{"gojs", "wbg", "__wbindgen_placeholder__"}
