package wasmbin

import "fmt"

// MalformedError reports a module that is not well formed.
type MalformedError struct {
	Section string // where, in words: "code section"
	Offset  int    // in the source, of the byte that was wrong
	Reason  string
}

func (e *MalformedError) Error() string {
	return fmt.Sprintf("malformed module: %s at offset %#x: %s", e.Section, e.Offset, e.Reason)
}

// UnsupportedError reports a module that needs a feature that is not offered.
type UnsupportedError struct {
	Feature Feature
	Section string
	Offset  int
}

func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("the program uses %s (%s at offset %#x), which is not supported: %s",
		e.Feature.Name, e.Section, e.Offset, e.Feature.Advice)
}

// LimitError reports a module that is larger than is accepted.
type LimitError struct {
	What    string
	Limit   int
	Section string
	Offset  int
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("the program is too large: more than %d %s (%s at offset %#x)",
		e.Limit, e.What, e.Section, e.Offset)
}
