package binary

import "fmt"

// Error says why something is no component, or none that can be run.
type Error struct {
	Offset  int    // of the first byte of what is wrong
	Section string // where, in words: "type section"
	Rule    string // what is wrong, by the rule that it breaks
	// Feature is what the component needs and is not offered, nil where it breaks
	// a rule of WASI 0.2's component model.
	Feature *Feature
}

func (e *Error) Error() string {
	if e.Feature != nil {
		return fmt.Sprintf("the component uses %s (%s at offset %#x), which is not supported: %s",
			e.Feature.Name, e.Section, e.Offset, e.Feature.Advice)
	}
	return fmt.Sprintf("invalid component: %s at offset %#x: %s", e.Section, e.Offset, e.Rule)
}

// Feature is a feature that is refused, and how to do without it.
type Feature struct{ Name, Advice string }

// What is refused of the component model: all that came after WASI 0.2
// (Explainer.md, "Gated Features").
var (
	featureAsync = Feature{
		"asynchronous functions, streams or futures (component-model-async)",
		"build for WASI 0.2; componentize-qjs has --sync for that",
	}
	featureThreads = Feature{
		"threads of the component model (component-model-threading)",
		"build without threads",
	}
	featureErrorContext = Feature{
		"error contexts (error-context)",
		"return errors in a result",
	}
	featureFixedLists = Feature{
		"lists of a fixed length",
		"use a tuple, or a list of any length",
	}
	featureMap = Feature{
		"maps",
		"use a list of tuples",
	}
	featureValues = Feature{
		"values and start functions of components (component-model-values)",
		"pass values to an exported function",
	}
	featureComponentGC = Feature{
		"the canonical ABI of garbage collection (component-model-gc)",
		"build for linear memory",
	}
	featureCanonicalNames = Feature{
		"canonical interface names (versionsuffix)",
		"give interfaces their full version, as in wasi:io/streams@0.2.0",
	}
	featureNestedNames = Feature{
		"nested namespaces in names",
		"name interfaces as namespace:package/interface",
	}
	featureOld = Feature{
		"the binary format of a preview before WASI 0.2",
		"build it again with current tools, such as wasm-tools 1.0.50 or later",
	}
)

// What is refused of the core modules in a component and of their types.
var (
	featureGC = Feature{
		"garbage collection or typed function references of core modules (gc, function-references)",
		"build for linear memory",
	}
	featureCoreThreads = Feature{
		"shared memory (threads)",
		"build without threads",
	}
	featureMemory64 = Feature{
		"64-bit memories (memory64)",
		"build for wasm32",
	}
	featurePageSizes = Feature{
		"custom page sizes (custom-page-sizes)",
		"link without --page-size",
	}
	featureStackSwitching = Feature{
		"stack switching (continuations)",
		"build without it",
	}
	featureTypeImports = Feature{
		"imports of core types",
		"build for WebAssembly 2.0",
	}
)
