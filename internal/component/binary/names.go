package binary

import (
	"strings"
	"unicode"
)

// nameForm is a form of the name of an import or export.
type nameForm uint8

const (
	labelName nameForm = iota
	constructorName
	methodName
	staticName
	interfaceName
	// The last ones name implementations and are for imports alone. Explainer.md
	// no longer has them, and tools still emit them.
	dependencyName
	urlName
	hashName
)

// externName is a parsed name of an import or export.
type externName struct {
	form nameForm
	// resource is that of a constructor, a method or a static function.
	resource string
	version  string // of an interface, "" without one
	// unique is equal for two names that may not be in one scope (Explainer.md,
	// "Name Uniqueness").
	unique string
}

// isLabel says whether s is a label: words in lower case or acronyms in upper
// case, joined by hyphens, the first beginning with a letter.
func isLabel(s string) bool {
	for first := true; ; first = false {
		fragment, rest, more := strings.Cut(s, "-")
		if !isFragment(fragment) || first && isDigit(fragment[0]) {
			return false
		}
		if !more {
			return true
		}
		s = rest
	}
}

// isFragment says whether s is a word or an acronym.
func isFragment(s string) bool {
	lower, upper := false, false
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z':
			lower = true
		case 'A' <= c && c <= 'Z':
			upper = true
		case !isDigit(c):
			return false
		}
	}
	return s != "" && !(lower && upper)
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

// checkLabel says why s is no label, or nil.
func checkLabel(s string) error {
	if !isLabel(s) {
		return mismatch("`%s` is not in kebab case", s)
	}
	return nil
}

// parseName reads the name of an import or export.
func parseName(s string) (externName, error) {
	n := externName{unique: unique(s)}
	if rest, ok := strings.CutPrefix(s, "[constructor]"); ok {
		n.form, n.resource = constructorName, rest
		return n, checkLabel(rest)
	}
	if rest, ok := strings.CutPrefix(s, "[method]"); ok {
		n.form = methodName
		return n, n.parseFunc(rest)
	}
	if rest, ok := strings.CutPrefix(s, "[static]"); ok {
		n.form = staticName
		return n, n.parseFunc(rest)
	}
	if form, err, ok := parseDependency(s); ok {
		return externName{form: form, unique: s}, err
	}
	if !strings.Contains(s, ":") {
		return n, checkLabel(s)
	}
	n.form = interfaceName
	path, version, versioned := strings.Cut(s, "@")
	n.unique = unique(path) + s[len(path):]
	if err := checkPath(path, true); err != nil {
		return n, err
	}
	n.version = version
	if versioned {
		return n, checkVersion(version)
	}
	return n, nil
}

// parseFunc reads the name of a method or of a static function.
func (n *externName) parseFunc(s string) error {
	resource, field, ok := strings.Cut(s, ".")
	if !ok {
		return mismatch("failed to find `.` character in `%s`", s)
	}
	n.resource = resource
	n.unique = unique(s)
	if unique(resource) == unique(field) {
		n.unique = unique(resource)
	}
	if err := checkLabel(resource); err != nil {
		return err
	}
	return checkLabel(field)
}

// unique is what has to differ in the names of one scope: bindings for languages
// that write names otherwise are to find different ones. Later versions of the
// specification have hyphens not count either, which refuses components that were
// built before.
func unique(s string) string { return strings.ToLower(s) }

// checkPath checks namespace:package, and /projection behind it, which
// an interface must have.
func checkPath(s string, isInterface bool) error {
	namespace, rest, ok := strings.Cut(s, ":")
	if !ok {
		return mismatch("expected `:` at `%s`", s)
	}
	pkg, projection, ok := strings.Cut(rest, "/")
	for _, words := range []string{namespace, pkg} {
		if inner, _, nested := strings.Cut(words, ":"); nested && isLabel(inner) {
			return &nestedNameError{s}
		}
		if err := checkLabel(words); err != nil {
			return err
		}
		if upper := strings.IndexFunc(words, unicode.IsUpper); upper >= 0 {
			return mismatch("character `%c` is not lowercase in package name/namespace `%s`", words[upper], words)
		}
	}
	if !ok {
		if isInterface {
			return mismatch("expected `/` after package name in `%s`", s)
		}
		return nil
	}
	if inner, trailing, nested := strings.Cut(projection, "/"); nested && isLabel(inner) {
		return &nestedNameError{"/" + trailing}
	}
	return checkLabel(projection)
}

// nestedNameError reports a name of nested namespaces, which are a feature.
type nestedNameError struct{ rest string }

func (e *nestedNameError) Error() string {
	return mismatch("nested namespaces: trailing characters found: `%s`, expected `/` after package name", e.rest).Error()
}
