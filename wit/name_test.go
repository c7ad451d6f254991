package wit_test

import (
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/wit"
)

func TestNamesAreReadAsTheyArePrinted(t *testing.T) {
	for _, text := range []string{
		"wasi:io/streams@0.2.0", "a:b/c", "a1-b2:c-3d/XML-http-2", "a:b/c@1.2.3-rc.1.x-y+build.007", "a:b/c@0.0.0--",
	} {
		if got, err := wit.ParseID(text); err != nil || got.String() != text {
			t.Errorf("%s: got %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"a:b", "wasi:io@0.2.0", "a:b@10.20.30-0.1a.-"} {
		if got, err := wit.ParsePackageName(text); err != nil || got.String() != text {
			t.Errorf("%s: got %v, %v", text, got, err)
		}
	}
	for text, want := range map[string]wit.FuncName{
		"read":                {Name: "read"},
		"[constructor]blob":   {Kind: wit.Constructor, Resource: "blob"},
		"[method]blob.read":   {Kind: wit.Method, Resource: "blob", Name: "read"},
		"[static]HTTP-2.make": {Kind: wit.Static, Resource: "HTTP-2", Name: "make"},
	} {
		got, err := wit.ParseFuncName(text)
		if err != nil || got != want || got.String() != text {
			t.Errorf("%s: got %+v, %v", text, got, err)
		}
	}
}

func TestWhatIsNoNameIsRefused(t *testing.T) {
	long := strings.Repeat("a", 257)
	for text, want := range map[string]string{
		"a:b":            `"a:b" names no interface of a package: write namespace:package/interface`,
		"a/b":            `package name "a": "" is no name`,
		"a:b/":           `"" is no name`,
		"a:b/c/d":        `has the character '/'`,
		"a:b:c/d":        "nested namespaces and packages are not supported",
		"A:b/c":          `"A" has upper-case letters, which no namespace or package may have`,
		"a:b-/c":         `"b-" is no name: write words of letters and digits with one hyphen between them`,
		"a:b/1c":         `"1c" begins with a digit`,
		"a:b/cD":         `"cD" mixes upper and lower case in one word`,
		"a:b/ü":          `has the character 'ü'`,
		"a:b/" + long:    "is longer than 256 bytes",
		"a:b/c@":         "nothing is behind the @",
		"a:b/c@1.2":      `"1.2" is no version: write three numbers, as in 1.2.3 or 1.2.3-rc.1`,
		"a:b/c@1.02.3":   "is no version",
		"a:b/c@1.2.3-":   "is no version",
		"a:b/c@1.2.3-0":  "",
		"a:b/c@1.2.3-00": "is no version",
		"a:b/c@1.2.3+":   "is no version",
		"a:b/c@1.2.3+ü":  "is no version",
		"a:b/c@v1.2.3":   "is no version",
		"a:b/c@1.2.3-" + strings.Repeat("a", 260): "is longer than 256 bytes",
	} {
		got, err := wit.ParseID(text)
		if want == "" {
			if err != nil {
				t.Errorf("%s: %v", text, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, %v, want %s", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"":                 `"" is no name`,
		"[method]blob":     `"" is no name`,
		"[method].a":       `"" is no name`,
		"[method]a.b.c":    "has the character '.'",
		"[constructor]a.b": "has the character '.'",
		"[dtor]a":          "has the character '['",
		"[static]a.[x]":    "has the character '['",
	} {
		got, err := wit.ParseFuncName(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, %v, want %s", text, got, err, want)
		}
	}
}
