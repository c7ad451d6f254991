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

// checkVersion says why s is no version of Semantic Versioning 2.0, or nil.
func checkVersion(s string) error {
	if s == "" {
		return mismatch("`` is not a valid semver: empty string")
	}
	core, build, hasBuild := strings.Cut(s, "+")
	core, pre, hasPre := strings.Cut(core, "-")
	for _, which := range []string{"major", "minor", "patch"} {
		digits := core[:len(core)-len(strings.TrimLeft(core, "0123456789"))]
		rest := core[len(digits):]
		switch {
		case core == "":
			return mismatch("`%s` is not a valid semver: unexpected end of input while parsing %s version number", s, which)
		case digits == "":
			return mismatch("`%s` is not a valid semver: unexpected character %q while parsing %s version number", s, core[0], which)
		case !isNumber(digits):
			return mismatch("`%s` is not a valid semver: invalid leading zero or value of %s version number", s, which)
		case which == "patch" && rest == "":
			continue
		case which == "patch" || rest != "" && rest[0] != '.':
			return mismatch("`%s` is not a valid semver: unexpected character %q after %s version number", s, rest[0], which)
		}
		core = strings.TrimPrefix(rest, ".")
	}
	if hasPre {
		if err := checkIdentifiers(s, pre, true); err != nil {
			return err
		}
	}
	if hasBuild {
		return checkIdentifiers(s, build, false)
	}
	return nil
}

// checkIdentifiers checks what is behind - or + in a version.
func checkIdentifiers(version, s string, pre bool) error {
	for id := range strings.SplitSeq(s, ".") {
		if id == "" {
			return mismatch("`%s` is not a valid semver: empty identifier segment", version)
		}
		digits := true
		for i := range len(id) {
			c := id[i]
			if !isDigit(c) && !isLetter(c) && c != '-' {
				return mismatch("`%s` is not a valid semver: unexpected character %q", version, c)
			}
			digits = digits && isDigit(c)
		}
		if pre && digits && id[0] == '0' && len(id) > 1 {
			return mismatch("`%s` is not a valid semver: invalid leading zero", version)
		}
	}
	return nil
}

// isNumber says whether s is a decimal number of 64 bits without leading zeros.
func isNumber(s string) bool {
	const maxUint64 = "18446744073709551615"
	if s == "" || s[0] == '0' && len(s) > 1 || len(s) > len(maxUint64) || len(s) == len(maxUint64) && s > maxUint64 {
		return false
	}
	for i := range len(s) {
		if !isDigit(s[i]) {
			return false
		}
	}
	return true
}

// parseDependency reads the forms of names that refer to implementations, and
// says whether s has one of them.
func parseDependency(s string) (nameForm, error, bool) {
	kind, rest, ok := strings.Cut(s, "=")
	if !ok {
		return 0, nil, false
	}
	switch kind {
	case "unlocked-dep":
		query, ok := strings.CutPrefix(rest, "<")
		if !ok {
			return dependencyName, mismatch("expected `<` at `%s`", rest), true
		}
		// A range of versions has > in it.
		query, ok = strings.CutSuffix(query, ">")
		if !ok {
			return dependencyName, mismatch("expected `>` at the end of `%s`", rest), true
		}
		return dependencyName, checkQuery(query), true
	case "locked-dep":
		pkg, err := inBrackets(&rest)
		if err == nil {
			path, version, versioned := strings.Cut(pkg, "@")
			err = checkPath(path, false)
			if err == nil && versioned {
				err = checkVersion(version)
			}
		}
		return dependencyName, firstError(err, optionalHash(&rest), noRest(rest)), true
	case "url":
		url, err := inBrackets(&rest)
		if err == nil && strings.Contains(url, "<") {
			err = mismatch("url cannot contain `<`: `%s`", url)
		}
		return urlName, firstError(err, optionalHash(&rest), noRest(rest)), true
	case "integrity":
		hash, err := inBrackets(&rest)
		if err == nil {
			err = checkHash(hash)
		}
		return hashName, firstError(err, noRest(rest)), true
	}
	return 0, nil, false
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func noRest(s string) error {
	if s != "" {
		return mismatch("trailing characters found: `%s`", s)
	}
	return nil
}

// inBrackets takes <…> from the beginning of s.
func inBrackets(s *string) (string, error) {
	rest, ok := strings.CutPrefix(*s, "<")
	if !ok {
		return "", mismatch("expected `<` at `%s`", *s)
	}
	inner, rest, ok := strings.Cut(rest, ">")
	if !ok {
		return "", mismatch("failed to find `>` character in `%s`", *s)
	}
	*s = rest
	return inner, nil
}

func optionalHash(s *string) error {
	if !strings.HasPrefix(*s, ",") {
		return nil
	}
	rest, ok := strings.CutPrefix(*s, ",integrity=")
	if !ok {
		return mismatch("expected `integrity=<` at `%s`", (*s)[1:])
	}
	*s = rest
	hash, err := inBrackets(s)
	if err != nil {
		return err
	}
	return checkHash(hash)
}

// checkHash checks integrity metadata: hashes with white space between them.
func checkHash(s string) error {
	all := strings.Fields(s)
	if len(all) == 0 {
		return mismatch("integrity hash cannot be empty")
	}
	for _, h := range all {
		algorithm, rest, ok := strings.Cut(h, "-")
		switch algorithm {
		case "sha256", "sha384", "sha512":
		default:
			return mismatch("unrecognized hash algorithm: `%s`", h)
		}
		if !ok {
			return mismatch("expected `-` after hash algorithm: %s", h)
		}
		digest, _, _ := strings.Cut(rest, "?")
		if !isBase64(digest) {
			return mismatch("not valid base64: `%s`", digest)
		}
	}
	return nil
}

// isBase64 says whether s has the characters of base64, and padding only behind
// them.
func isBase64(s string) bool {
	digits := strings.TrimRight(s, "=")
	if digits == "" || len(s)-len(digits) > 2 {
		return false
	}
	for i := range len(digits) {
		c := digits[i]
		if !isDigit(c) && !isLetter(c) && c != '+' && c != '/' {
			return false
		}
	}
	return true
}

// checkQuery checks a package with a range of versions.
func checkQuery(s string) error {
	path, ranges, ok := strings.Cut(s, "@")
	if err := checkPath(path, false); err != nil || !ok || ranges == "*" {
		return err
	}
	inner, ok := strings.CutPrefix(ranges, "{")
	if !ok {
		return mismatch("expected `{` at `%s`", ranges)
	}
	inner, rest, ok := strings.Cut(inner, "}")
	if !ok {
		return mismatch("failed to find `}` character in `%s`", ranges)
	}
	if err := noRest(rest); err != nil {
		return err
	}
	return checkRange(inner)
}

func checkRange(s string) error {
	lowest, isLowest := strings.CutPrefix(s, ">=")
	if isLowest {
		low, high, both := strings.Cut(lowest, " ")
		if err := checkVersion(low); err != nil || !both {
			return err
		}
		s = high
	}
	highest, ok := strings.CutPrefix(s, "<")
	switch {
	case ok:
		return checkVersion(highest)
	case isLowest:
		return mismatch("expected `<` at start of version range upper bounds: `%s`", s)
	}
	return mismatch("expected `>=` or `<` at start of version range: `%s`", s)
}
