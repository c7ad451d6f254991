package cli

import (
	"strings"
	"testing"
	"testing/quick"

	"github.com/waterbear-run/waterbear/internal/id"
)

func TestWorkersAreNamedAfterTheirPrograms(t *testing.T) {
	for path, want := range map[string]string{
		"hello.wasm":                         "hello",
		"/a/b/My Program (2).wasm":           "My-Program--2-",
		"x":                                  "x",
		"prog.opt.wasm":                      "prog.opt",
		".hidden.wasm":                       "hidden",
		"-.wasm":                             "program",
		"ü.wasm":                             "program",
		"..":                                 "program",
		strings.Repeat("long", 50) + ".wasm": strings.Repeat("long", 32),
		"dir.wasm/" + "tool":                 "tool",
	} {
		if got := nameOf(path); got != want {
			t.Errorf("nameOf(%q) = %q, want %q", path, got, want)
		}
	}
}

func TestEveryFileNameGivesAValidWorkerName(t *testing.T) {
	check := func(path string) bool { return id.CheckName(nameOf(path)) == nil }
	if err := quick.Check(check, nil); err != nil {
		t.Error(err)
	}
}

func TestTheResumingCommandIsTheSameWithoutFresh(t *testing.T) {
	for _, test := range []struct {
		argv []string
		args int // how many of argv are the program and its arguments
		want string
	}{
		{[]string{"waterbear", "run", "p.wasm"}, 1, "waterbear run p.wasm"},
		{[]string{"./waterbear", "run", "--fresh", "--name", "n", "p.wasm", "--fresh"}, 2, "./waterbear run --name n p.wasm --fresh"},
		{[]string{"waterbear", "run", "--fresh=true", "--env", "A=b c", "--", "p q.wasm"}, 1, "waterbear run --env 'A=b c' -- 'p q.wasm'"},
		{[]string{"/tmp/go-build123/b001/exe/waterbear", "run", "p.wasm"}, 1, "waterbear run p.wasm"},
	} {
		talk := runTalk{app: &app{argv: test.argv}, args: test.argv[len(test.argv)-test.args:]}
		if got := talk.sameCommand(); got != test.want {
			t.Errorf("%q: got %s, want %s", test.argv, got, test.want)
		}
	}
}
