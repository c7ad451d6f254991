package wit

import "testing"

// TestVersionsHaveThePrecedenceOfSemver goes through the example of semver.org,
// item 11, and what it leaves out.
func TestVersionsHaveThePrecedenceOfSemver(t *testing.T) {
	ordered := []string{
		"0.0.1", "0.2.0", "0.10.0", "1.0.0-0", "1.0.0-2", "1.0.0-11", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta",
		"1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "2.0.0", "2.1.0", "2.1.1",
		"18446744073709551616.0.0", "18446744073709551617.0.0",
	}
	for i, a := range ordered {
		for j, b := range ordered {
			v, err := parseVersion(a)
			if err != nil {
				t.Fatal(err)
			}
			w, err := parseVersion(b + "+build")
			if err != nil {
				t.Fatal(err)
			}
			if got := v.compare(w); got < 0 != (i < j) || got > 0 != (i > j) {
				t.Errorf("%s is compared with %s: got %d", a, b, got)
			}
		}
	}
}
