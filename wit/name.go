package wit

import (
	"fmt"
	"strings"
)

// maxName bounds every name and every version, in bytes.
const maxName = 256

// PackageName names a package, as in wasi:io@0.2.0.
type PackageName struct {
	Namespace string
	Name      string
	Version   string // as Semantic Versioning 2.0 has it, or "": none
}

// ID names an interface or a world of a package, as in wasi:io/streams@0.2.0.
// What is declared in place, inside a world, has none: the zero ID.
type ID struct {
	Package PackageName
	Name    string // kebab case
}

// String is the name as components and WIT have it.
func (n PackageName) String() string { return n.Namespace + ":" + n.Name + n.version() }

func (n PackageName) version() string {
	if n.Version == "" {
		return ""
	}
	return "@" + n.Version
}

// String is the name as components and WIT have it.
func (id ID) String() string {
	if id.Package == (PackageName{}) {
		return id.Name
	}
	return id.Package.Namespace + ":" + id.Package.Name + "/" + id.Name + id.Package.version()
}

// ParsePackageName reads a name such as wasi:io or wasi:io@0.2.0.
func ParsePackageName(text string) (PackageName, error) {
	rest, version, versioned := strings.Cut(text, "@")
	namespace, name, _ := strings.Cut(rest, ":")
	n := PackageName{Namespace: namespace, Name: name, Version: version}
	if err := n.check(); err != nil {
		return PackageName{}, fmt.Errorf("package name %s: %w", quote(text), err)
	}
	if versioned && version == "" {
		return PackageName{}, fmt.Errorf("package name %s: nothing is behind the @", quote(text))
	}
	return n, nil
}

// ParseID reads the name of an interface or a world of a package, such as
// wasi:io/streams@0.2.0 (Explainer.md, "interfacename").
func ParseID(text string) (ID, error) {
	rest, version, versioned := strings.Cut(text, "@")
	rest, name, found := strings.Cut(rest, "/")
	if !found {
		return ID{}, fmt.Errorf("%s names no interface of a package: write namespace:package/interface, and @version if the package has one", quote(text))
	}
	if versioned {
		rest += "@" + version
	}
	p, err := ParsePackageName(rest)
	if err != nil {
		return ID{}, err
	}
	if err := checkLabel(name); err != nil {
		return ID{}, fmt.Errorf("name of an interface %s: %w", quote(text), err)
	}
	return ID{Package: p, Name: name}, nil
}

func (n PackageName) check() error {
	for _, words := range []string{n.Namespace, n.Name} {
		if strings.ContainsAny(words, ":/") {
			return fmt.Errorf("nested namespaces and packages are not supported: write one namespace, a colon and one name")
		}
		if err := checkLabel(words); err != nil {
			return err
		}
		if words != strings.ToLower(words) {
			return fmt.Errorf("%s has upper-case letters, which no namespace or package may have", quote(words))
		}
	}
	if n.Version != "" {
		_, err := parseVersion(n.Version)
		return err
	}
	return nil
}

// checkLabel says why name is not in kebab case, or nil (Explainer.md, "label"):
// fragments of lower-case or of upper-case letters and digits, with a hyphen
// between them, the first of which begins with a letter.
func checkLabel(name string) error {
	if len(name) > maxName {
		return fmt.Errorf("%s is longer than %d bytes", quote(name), maxName)
	}
	if name != "" && '0' <= name[0] && name[0] <= '9' {
		return fmt.Errorf("%s begins with a digit: a name begins with a letter", quote(name))
	}
	for fragment := range strings.SplitSeq(name, "-") {
		if fragment == "" {
			return fmt.Errorf("%s is no name: write words of letters and digits with one hyphen between them", quote(name))
		}
		var lower, upper bool
		for _, c := range fragment {
			switch {
			case 'a' <= c && c <= 'z':
				lower = true
			case 'A' <= c && c <= 'Z':
				upper = true
			case c < '0' || c > '9':
				return fmt.Errorf("%s has the character %q: a name has letters, digits and hyphens", quote(name), c)
			}
		}
		if lower && upper {
			return fmt.Errorf("%s mixes upper and lower case in one word: write words-like-this, or ACRONYMS-like-this", quote(name))
		}
	}
	return nil
}

// quote is as much of a name as an error repeats, in quotes.
func quote(name string) string { return excerpt(fmt.Appendf(nil, "%q", name)) }

// FuncKind says what a function belongs to.
type FuncKind uint8

// The kinds of functions (Explainer.md, "plainname").
const (
	Freestanding FuncKind = iota
	Constructor           // of a resource
	Method                // of a resource, its first parameter being self
	Static                // of a resource
)

var funcPrefixes = [...]string{Constructor: "[constructor]", Method: "[method]", Static: "[static]"}

// FuncName names a function within an interface or a world.
type FuncName struct {
	Kind     FuncKind
	Resource string // what it belongs to, "" if it is Freestanding
	Name     string // "" if it is a Constructor
}

// String is the name as components have it, such as [method]blob.read.
func (n FuncName) String() string {
	switch n.Kind {
	case Constructor:
		return funcPrefixes[n.Kind] + n.Resource
	case Method, Static:
		return funcPrefixes[n.Kind] + n.Resource + "." + n.Name
	}
	return n.Name
}

// ParseFuncName reads the name that a component imports or exports a function
// under (Explainer.md, "plainname").
func ParseFuncName(text string) (FuncName, error) {
	n := FuncName{Name: text}
	for kind := Constructor; kind <= Static; kind++ {
		rest, found := strings.CutPrefix(text, funcPrefixes[kind])
		if !found {
			continue
		}
		n = FuncName{Kind: kind, Resource: rest}
		if kind != Constructor {
			n.Resource, n.Name, _ = strings.Cut(rest, ".")
		}
		if err := checkLabel(n.Resource); err != nil {
			return FuncName{}, fmt.Errorf("name of a function %s: %w", quote(text), err)
		}
	}
	if n.Kind != Constructor {
		if err := checkLabel(n.Name); err != nil {
			return FuncName{}, fmt.Errorf("name of a function %s: %w", quote(text), err)
		}
	}
	return n, nil
}
