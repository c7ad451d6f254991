package wit

import (
	"cmp"
	"fmt"
	"strings"
)

// version is a version of Semantic Versioning 2.0. Its numbers are digits
// without leading zeros, of any length.
type version struct {
	numbers    [3]string
	prerelease []string
}

// parseVersion reads text, such as 1.2.3-rc.1+build.5, whose build is of no
// account.
func parseVersion(text string) (version, error) {
	fail := func() (version, error) {
		return version{}, fmt.Errorf("%s is no version: write three numbers, as in 1.2.3 or 1.2.3-rc.1", quote(text))
	}
	if len(text) > maxName {
		return version{}, fmt.Errorf("the version %s is longer than %d bytes", quote(text), maxName)
	}
	rest, build, built := strings.Cut(text, "+")
	rest, prerelease, pre := strings.Cut(rest, "-")
	numbers := strings.Split(rest, ".")
	v := version{}
	if len(numbers) != len(v.numbers) {
		return fail()
	}
	for i, n := range numbers {
		if !isNumeric(n) {
			return fail()
		}
		v.numbers[i] = n
	}
	if pre {
		v.prerelease = strings.Split(prerelease, ".")
		for _, part := range v.prerelease {
			if !isVersionPart(part) || isDigits(part) && !isNumeric(part) {
				return fail()
			}
		}
	}
	if built {
		for part := range strings.SplitSeq(build, ".") {
			if !isVersionPart(part) {
				return fail()
			}
		}
	}
	return v, nil
}

// isNumeric reports whether s is a number without leading zeros.
func isNumeric(s string) bool { return isDigits(s) && (s == "0" || s[0] != '0') }

func isDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

func isVersionPart(s string) bool {
	for _, c := range []byte(s) {
		if !isVersionByte(c) || c == '.' || c == '+' {
			return false
		}
	}
	return s != ""
}

// isVersionByte reports whether c may be part of a version.
func isVersionByte(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '-' || c == '.' || c == '+'
}

// compare is the precedence of versions (semver.org, item 11).
func (v version) compare(w version) int {
	for i := range v.numbers {
		if c := compareNumbers(v.numbers[i], w.numbers[i]); c != 0 {
			return c
		}
	}
	if len(v.prerelease) == 0 || len(w.prerelease) == 0 {
		// That without a prerelease is later.
		return cmp.Compare(len(w.prerelease), len(v.prerelease))
	}
	for i, part := range v.prerelease {
		if i == len(w.prerelease) {
			return 1
		}
		if c := comparePrereleases(part, w.prerelease[i]); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(v.prerelease), len(w.prerelease))
}

// compareNumbers compares digits without leading zeros by their value.
func compareNumbers(a, b string) int {
	return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
}

func comparePrereleases(a, b string) int {
	switch aIs, bIs := isDigits(a), isDigits(b); {
	case aIs && bIs:
		return compareNumbers(a, b)
	case aIs:
		return -1
	case bIs:
		return 1
	}
	return cmp.Compare(a, b)
}
