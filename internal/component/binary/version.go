package binary

import "strings"

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
