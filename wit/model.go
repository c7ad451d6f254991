package wit

import "fmt"

// Kind tells the value types of the component model apart.
type Kind uint8

// The kinds, as the component model names them (Explainer.md, "Value types").
const (
	Bool Kind = iota + 1
	S8
	U8
	S16
	U16
	S32
	U32
	S64
	U64
	F32
	F64
	Char
	String
	List
	Record
	Tuple
	Variant
	Enum
	Option
	Result
	Flags
	Own
	Borrow
)

// Type is a value type. Which fields are set follows from Kind.
type Type struct {
	Kind Kind
	// Name is what the type was declared as, in kebab case, or "" where it was
	// not: two types are the same whatever their names.
	Name string
	// Fields are those of a Record, with names, of a Tuple, without; the cases of
	// a Variant, whose types may be nil; and the labels of an Enum or of Flags,
	// whose types are.
	Fields []Field
	// Elem is the element of a List or an Option, and the payload of the ok of a
	// Result, or nil there.
	Elem *Type
	// Err is the payload of the error of a Result, or nil.
	Err *Type
	// Resource is what an Own or a Borrow is a handle to.
	Resource *Resource
}

// Field is a part of a Type.
type Field struct {
	Name string // kebab case
	Type *Type
}

// Resource is a resource type. Two are the same if they are the same pointer.
type Resource struct {
	Name string // kebab case
}

// Param is a parameter of a function.
type Param struct {
	Name string // kebab case
	Type *Type
}

// Func is the type of a function.
type Func struct {
	Params []Param
	Result *Type // nil: it has none
}

// Value is a value of a type, as a Go value:
//
//	bool                     bool
//	s8 … u64                 int8, uint8, int16, uint16, int32, uint32, int64, uint64
//	f32, f64                 float32, float64
//	char                     Rune
//	string                   string, valid UTF-8
//	list<u8>                 []byte
//	other lists              []Value
//	records and tuples       []Value, a field each in the order of the type
//	variant, enum            Case
//	option                   Case: 0 none, 1 some
//	result                   Case: 0 ok, 1 error
//	flags                    uint32, the first label in the lowest bit
//	own, borrow              what the one who made the handle chose
type Value any

// Rune is a char: a Unicode scalar value.
type Rune rune

// Case is a value of a variant, an enum, an option or a result: which of its
// cases, from 0 in the order of the type, and its payload, nil without one.
type Case struct {
	Index   uint32
	Payload Value
}

var kindNames = [...]string{
	Bool: "bool", S8: "s8", U8: "u8", S16: "s16", U16: "u16", S32: "s32", U32: "u32", S64: "s64", U64: "u64",
	F32: "f32", F64: "f64", Char: "char", String: "string", List: "list", Record: "record", Tuple: "tuple",
	Variant: "variant", Enum: "enum", Option: "option", Result: "result", Flags: "flags", Own: "own", Borrow: "borrow",
}

// String is the kind's keyword in WIT.
func (k Kind) String() string {
	if int(k) < len(kindNames) && kindNames[k] != "" {
		return kindNames[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// maxShortType bounds how much String tells of a type that has no name, in
// bytes.
const maxShortType = 64

// String is the type as WIT refers to it, by its name if it has one; without
// the end of it if it is long.
func (t *Type) String() string { return string((&printer{}).appendType(nil, t, maxShortType)) }
