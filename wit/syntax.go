package wit

// What WIT text says before names in it are looked up.

// word is a name where it is written.
type word struct {
	name string
	at   place
}

// packageSyntax is a package, or what one file or block says of it.
type packageSyntax struct {
	name  word // as PackageName prints it
	id    PackageName
	files []*fileSyntax
}

// fileSyntax is a file or a package block: names that a use at its top declares
// are known in it alone.
type fileSyntax struct {
	source   *Source
	from, to int // where its text lies
	uses     []topUse
	decls    []*declSyntax
}

// topUse is a use outside of interfaces and worlds.
type topUse struct {
	path pathSyntax
	as   word
}

// pathSyntax names an interface or a world; its package is zero if it is one in
// scope.
type pathSyntax struct {
	id ID
	at place
}

// declSyntax is an interface or a world.
type declSyntax struct {
	name  word
	world bool
	gate  Gate
	items []item
}

// item is a useSyntax, a *typeSyntax, a *funcSyntax, an externSyntax or an
// includeSyntax.
type item any

// useSyntax is a use of types.
type useSyntax struct {
	path  pathSyntax
	names []renaming
	gate  Gate
}

// renaming is "from as to"; to is from if there is nothing of that.
type renaming struct{ from, to word }

// includeSyntax is an include of a world.
type includeSyntax struct {
	path pathSyntax
	with []renaming
	gate Gate
}

// externSyntax is an import or an export: a function, an interface in place, or
// a path, with a name or without.
type externSyntax struct {
	export bool
	name   word // zero: it is a path alone
	fn     *funcSyntax
	inline *declSyntax
	path   pathSyntax
	at     place
	gate   Gate
}

// typeSyntax declares a type.
type typeSyntax struct {
	name     word
	kind     Kind // Record, Variant, Enum, Flags, or 0: a resource or an alias
	fields   []fieldSyntax
	alias    *typeExpr // or nil
	resource bool
	funcs    []*funcSyntax // of a resource
	gate     Gate
}

// fieldSyntax is a field, a case, a label or a parameter.
type fieldSyntax struct {
	name word
	typ  *typeExpr // or nil
}

// funcSyntax declares a function.
type funcSyntax struct {
	kind   FuncKind
	name   word // for a constructor, where it is
	params []fieldSyntax
	result *typeExpr // or nil
	gate   Gate
}

// typeExpr refers to a type.
type typeExpr struct {
	kind  Kind // or 0: it is the name of a type
	name  word // of a type; of the resource of an Own or a Borrow
	parts []*typeExpr
	at    place
}
