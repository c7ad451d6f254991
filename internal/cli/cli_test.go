package cli

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// commands gives every command of ours, the root included, as it is typed.
func commands(cmd *cobra.Command) [][]string {
	all := [][]string{strings.Fields(cmd.CommandPath())}
	for _, sub := range cmd.Commands() {
		all = append(all, commands(sub)...)
	}
	return all
}

func TestHelpIsAsCommitted(t *testing.T) {
	for _, command := range commands((&app{}).rootCommand()) {
		var out, errs bytes.Buffer
		if code := Main(append(command, "--help"), nil, &out, &errs, nil); code != 0 || errs.Len() > 0 {
			t.Errorf("%s --help: exit code %d, %s", command, code, &errs)
		}
		golden := filepath.Join("testdata", "help", strings.Join(command, "-")+".txt")
		if *update {
			if err := os.WriteFile(golden, out.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil || !bytes.Equal(out.Bytes(), want) {
			t.Errorf("%s --help differs from %s (rewrite it with -update): %v\n%s", command, golden, err, &out)
		}
	}
}

func TestHelpFitsAnOrdinaryTerminalAndHasExamples(t *testing.T) {
	root := (&app{}).rootCommand()
	for _, command := range commands(root) {
		cmd, _, err := root.Find(command[1:])
		if err != nil {
			t.Fatal(err)
		}
		for text, what := range map[string]string{cmd.Short: "summary", cmd.Long: "help text", cmd.Example: "examples"} {
			if text == "" {
				t.Errorf("%s has no %s", command, what)
			}
			for line := range strings.Lines(text) {
				if n := len([]rune(strings.TrimRight(line, "\n"))); n > 80 && !strings.Contains(line, "|") {
					t.Errorf("%s: a line of %d characters: %s", command, n, line)
				}
			}
		}
	}
}

func TestTheLastSettingOfAVariableCounts(t *testing.T) {
	e := environment{"A=1", "B=", "A=2=3"}
	for key, want := range map[string]string{"A": "2=3", "B": "", "C": ""} {
		if got := e.get(key); got != want {
			t.Errorf("%s: got %q, want %q", key, got, want)
		}
	}
	if _, ok := e.lookup("C"); ok {
		t.Error("C is not there but was found")
	}
}
