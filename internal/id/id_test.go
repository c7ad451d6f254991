package id

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestNamesThatPeopleUseAreAccepted(t *testing.T) {
	for _, name := range []string{
		"a", "Z", "0", "alice", "order-2024-11-22", "v1.2.3", "a_b", "eu:shop", "bob@example.com", "x" + strings.Repeat("-", MaxName-1),
	} {
		if err := CheckName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestNamesThatAreUnsafeSomewhereAreRefusedWithTheReason(t *testing.T) {
	for name, want := range map[string]string{
		"":                             "it is empty",
		strings.Repeat("a", MaxName+1): "it has 129 bytes, more than 128",
		".":                            `'.' at byte 0`,
		"..":                           `'.' at byte 0`,
		"-rf":                          `'-' at byte 0`,
		"_x":                           `'_' at byte 0`,
		":x":                           `':' at byte 0`,
		"@x":                           `'@' at byte 0`,
		"a/b":                          `'/' at byte 1`,
		`a\b`:                          `'\\' at byte 1`,
		"a b":                          `' ' at byte 1`,
		"a\x00":                        `'\x00' at byte 1`,
		"a\n":                          `'\n' at byte 1`,
		"é":                            `at byte 0`,
		"a\xff":                        `at byte 1`,
		"a%2e":                         `'%' at byte 1`,
		"a?b":                          `'?' at byte 1`,
		"a*":                           `'*' at byte 1`,
		"~a":                           `'~' at byte 0`,
		"a$HOME":                       `'$' at byte 1`,
	} {
		err := CheckName(name)
		if !errors.Is(err, ErrName) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want ErrName with %q", name, err, want)
		}
	}
}

func TestRefusalSaysWhichCharactersAreAllowed(t *testing.T) {
	err := CheckName("a b")
	if want := `use letters, digits and "._:@-", the first a letter or a digit`; err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("got %v, want it to end with %q", err, want)
	}
}

func TestRefusalOfAWorkerSaysWhichOfItsNamesIsWrong(t *testing.T) {
	for w, want := range map[Worker]string{
		{Component: "", Name: "a"}:     "component invalid name: it is empty",
		{Component: "shop", Name: ""}:  "worker invalid name: it is empty",
		{Component: "a b", Name: "c"}:  `component invalid name: "a b" has ' '`,
		{Component: "shop", Name: "/"}: `worker invalid name: "/" has '/'`,
	} {
		err := w.Check()
		if !errors.Is(err, ErrName) || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%+v: got %v, want %q", w, err, want)
		}
	}
}

func TestWorkerWithoutASlashIsRefusedWithTheFormThatIsMeant(t *testing.T) {
	_, err := ParseWorker("alice")
	if !errors.Is(err, ErrName) || !strings.HasSuffix(err.Error(), "write component/name") {
		t.Errorf("got %v", err)
	}
}

func TestWorkerWithTwoSlashesIsRefused(t *testing.T) {
	if _, err := ParseWorker("shop/cart/alice"); !errors.Is(err, ErrName) {
		t.Errorf("got %v, want ErrName", err)
	}
}

const (
	first = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	rest  = first + "._:@-"
)

// names draws names that are allowed.
func names() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		name := rapid.StringOfN(rapid.RuneFrom([]rune(rest)), 1, MaxName, -1).Draw(t, "name")
		return string(rapid.RuneFrom([]rune(first)).Draw(t, "first")) + name[1:]
	})
}

func TestWorkerIsParsedFromWhatItPrints(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := Worker{names().Draw(t, "component"), names().Draw(t, "worker")}
		got, err := ParseWorker(want.String())
		if err != nil || got != want {
			t.Fatalf("%q is parsed as %+v, %v", want.String(), got, err)
		}
	})
}

func TestWhatIsParsedPrintsAsItWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "s")
		w, err := ParseWorker(s)
		if err == nil && (w.String() != s || w.Check() != nil) {
			t.Fatalf("%q is parsed as %+v and prints as %q", s, w, w)
		}
		if err != nil && !errors.Is(err, ErrName) {
			t.Fatalf("%q: got %v, want ErrName", s, err)
		}
	})
}

func TestAllowedNameIsOneElementOfAPath(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.StringOf(rapid.RuneFrom([]rune(rest+"/\\ \x00é%*"))).Draw(t, "s")
		if CheckName(s) == nil && (s == "." || s == ".." || strings.ContainsAny(s, "/\\ \x00%*") || len(s) > MaxName) {
			t.Fatalf("%q is allowed", s)
		}
	})
}

func TestPromiseIsParsedFromWhatItPrints(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := Promise{Worker{names().Draw(t, "component"), names().Draw(t, "worker")}, names().Draw(t, "promise")}
		got, err := ParsePromise(want.String())
		if err != nil || got != want {
			t.Fatalf("%q is parsed as %+v, %v", want.String(), got, err)
		}
	})
	for _, s := range []string{"", "a", "a/b", "/a/b", "a//b", "a/b/", "a/b/c/d", "a/b/..", "a b/c/d"} {
		if p, err := ParsePromise(s); !errors.Is(err, ErrName) {
			t.Errorf("%q: got %+v, %v, want ErrName", s, p, err)
		}
	}
}
