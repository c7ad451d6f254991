package wit

import (
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestWhatIsTakenForCanonicalIs compares the short way with the long one.
func TestWhatIsTakenForCanonicalIs(t *testing.T) {
	for _, args := range []string{"[]", "[0]", "[1,-2,18446744073709551615]", "[99999999999999999999]"} {
		if !isCanonical([]byte(args)) {
			t.Errorf("%s is looked at twice", args)
		}
	}
	for _, args := range []string{"[-0]", "[ 1]", "[1.0]", "[1e1]", "[100000000000000000000]" + "0", "[1000000000000000000000]", "[\"a\"]", "[[1]]", "[null]"} {
		if isCanonical([]byte(args)) {
			t.Errorf("%s is taken for canonical", args)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		args := rapid.StringMatching(`\[(-?[0-9]{1,22}(,-?[0-9]{1,22}){0,3})?\]`).Draw(t, "args")
		if !json.Valid([]byte(args)) || !isCanonical([]byte(args)) {
			return
		}
		c := canonical{decoder: json.NewDecoder(strings.NewReader(args))}
		c.decoder.UseNumber()
		out, err := c.value(nil, 0)
		if err != nil || string(out) != args {
			t.Fatalf("%s: canonical is %s, %v", args, out, err)
		}
	})
}

// TestFewDigitsAreReadAsAnyNumberIs compares the short way with the long one.
func TestFewDigitsAreReadAsAnyNumberIs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kind := Kind(rapid.IntRange(int(S8), int(U64)).Draw(t, "kind"))
		text := rapid.StringMatching(`-?(0|[1-9][0-9]{0,21}|127|128|255|256|32767|32768|65535|65536|2147483647|2147483648|4294967295|4294967296)`).Draw(t, "text")
		short, err := parseInteger(kind, []byte(text))
		long, longErr := parseInteger(kind, []byte(text+".0"))
		if short != long || (err == nil) != (longErr == nil) {
			t.Fatalf("%s as %s is %v, %v, and with .0 it is %v, %v", text, kind, short, err, long, longErr)
		}
	})
}
