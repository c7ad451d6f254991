package cli

import (
	"os/exec"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestShellReadsQuotedWordsBack(t *testing.T) {
	shell, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("needs bash")
	}
	words := []string{
		"", "plain", "a/b-c_d.e:f=g,h@i%j+k", "two words", "it's", `back\slash`, `"double"`, "$HOME", "`id`", "a;b", "*", "~", "!", "#",
		"new\nline", "tab\there", "bell\a", "esc\x1b[31m", "quote'and\nline", "ünïcode", "\x01\x7f", "-flag", "{a,b}",
	}
	script := "printf '%s\\0' " + shellWords(words)
	out, err := exec.Command(shell, "-c", script).Output()
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	if len(got) != len(words) {
		t.Fatalf("got %d words, want %d: %q", len(got), len(words), got)
	}
	for i := range words {
		if got[i] != words[i] {
			t.Errorf("quoted as %s, read back as %q, want %q", shellQuote(words[i]), got[i], words[i])
		}
	}
}

func TestPlainWordsStayUnquoted(t *testing.T) {
	for _, word := range []string{"run", "--env", "A=1", "./prog.wasm", "/tmp/x::/y", "1GiB"} {
		if got := shellQuote(word); got != word {
			t.Errorf("got %s, want %s", got, word)
		}
	}
}

func TestQuotedAndPrintableTextHasNothingATerminalObeys(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")) + rapid.String().Draw(t, "text")
		if got := printable(s); strings.ContainsFunc(got, unprintable) {
			t.Fatalf("printable(%q) = %q", s, got)
		}
		if got := shellQuote(s); strings.ContainsFunc(got, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			t.Fatalf("shellQuote(%q) = %q", s, got)
		}
	})
}
