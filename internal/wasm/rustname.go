package wasm

import (
	"regexp"
	"strconv"
	"strings"
)

// rustHash ends the name that Rust gives a function in its legacy scheme.
var rustHash = regexp.MustCompile(`^h[0-9a-f]{16}$`)

// rustEscapes are what stands for other characters there.
var rustEscapes = strings.NewReplacer(
	"$SP$", "@", "$BP$", "*", "$RF$", "&", "$LT$", "<", "$GT$", ">", "$LP$", "(", "$RP$", ")", "$C$", ",",
	"$u20$", " ", "$u27$", "'", "$u5b$", "[", "$u5d$", "]", "$u7b$", "{", "$u7d$", "}", "$u7e$", "~", "$u2b$", "+", "$u22$", `"`, "..", "::",
)

// rustName is the path of a function as its source has it, if name is that of one in
// Rust's legacy scheme: _ZN, then elements with their lengths, the last of which is a
// hash, then E. Other names are as they are.
func rustName(name string) string {
	rest, ok := strings.CutPrefix(name, "_ZN")
	if !ok {
		return name
	}
	var path []string
	for rest != "E" {
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		n, err := strconv.Atoi(rest[:digits])
		if rest = rest[digits:]; err != nil || n < 1 || n > len(rest) {
			return name
		}
		path, rest = append(path, rest[:n]), rest[n:]
	}
	last := len(path) - 1
	if last < 1 || !rustHash.MatchString(path[last]) {
		return name
	}
	for i, element := range path[:last] {
		// An element that would begin with an escape has _ before it.
		if strings.HasPrefix(element, "_$") {
			element = element[1:]
		}
		path[i] = rustEscapes.Replace(element)
	}
	return strings.Join(path[:last], "::")
}
