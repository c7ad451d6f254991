package binary

import "strings"

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
