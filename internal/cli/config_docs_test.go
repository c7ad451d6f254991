package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// guide is where the documents for users are.
var guide = filepath.Join("..", "..", "docs", "guide")

// readGuide gives a document of the guide.
func readGuide(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(guide, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestEverySettingIsDocumented(t *testing.T) {
	var table strings.Builder
	const head = "| flag | variable | key | default | |\n|---|---|---|---|---|\n"
	table.WriteString(head)
	escape := strings.NewReplacer("|", `\|`)
	for _, s := range newConfig().settings {
		preset := s.preset
		if preset != "" {
			preset = "`" + preset + "`"
		}
		fmt.Fprintf(&table, "| `--%s %s` | `%s` | `%s` | %s | %s |\n", s.flag(), escape.Replace(s.arg), s.variable(), s.key, preset, s.meaning)
	}
	const name = "operations.md"
	content := readGuide(t, name)
	before, rest, _ := strings.Cut(content, head)
	_, after, _ := strings.Cut(rest, "\n\n")
	if !strings.HasPrefix(rest, "|") {
		after = strings.TrimPrefix(rest, "\n")
	}
	want := before + table.String() + "\n" + after
	if content == want {
		return
	}
	if !*update {
		t.Fatalf("the table of settings in %s is another (rewrite it with -update)", name)
	}
	if err := os.WriteFile(filepath.Join(guide, name), []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestMetricsOfTheGuideAreOnes(t *testing.T) {
	code, err := os.ReadFile(filepath.Join("..", "server", "metrics.go"))
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile("`(waterbear_[a-z_]+)`").FindAllStringSubmatch(readGuide(t, "operations.md"), -1)
	if len(found) == 0 {
		t.Error("the guide has no metrics")
	}
	for _, m := range found {
		if !strings.Contains(string(code), `"`+m[1]+`"`) {
			t.Errorf("there is no metric %s", m[1])
		}
	}
}

// fences are the blocks of a document that are no prose.
var fences = regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```$")

func TestCommandsAndFilesOfTheGuideAreOnes(t *testing.T) {
	for _, name := range []string{"operations.md", "security.md"} {
		for _, block := range fences.FindAllStringSubmatch(readGuide(t, name), -1) {
			switch block[1] {
			case "yaml":
				if wrong := newConfig().takeFile(name, []byte(block[2])); len(wrong) > 0 {
					t.Error(wrong)
				}
			case "console", "ini":
				for line := range strings.Lines(block[2]) {
					checkCommand(t, name, line)
				}
			}
		}
	}
}

// checkCommand looks whether a line that runs waterbear has a command and flags
// that there are.
func checkCommand(t *testing.T, name, line string) {
	t.Helper()
	_, typed, ok := strings.Cut(line, "waterbear ")
	if !ok || !strings.HasPrefix(line, "$ waterbear ") && !strings.HasPrefix(line, "ExecStart=") {
		return
	}
	typed, _, _ = strings.Cut(typed, " | ")
	typed, _, _ = strings.Cut(typed, " > ")
	cmd, args, err := (&app{}).rootCommand().Find(strings.Fields(typed))
	if err == nil && !cmd.HasParent() {
		err = fmt.Errorf("there is no such command")
	}
	if err == nil {
		err = cmd.ParseFlags(args)
	}
	if err == nil {
		err = cmd.ValidateArgs(cmd.Flags().Args())
	}
	if err != nil {
		t.Errorf("%s: %s: %v", name, strings.TrimSpace(line), err)
	}
}
