package guests

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// Example is one program of examples/ with what a test needs to run it and to
// judge the run.
type Example struct {
	Name string
	// Program builds or reads the module.
	Program func(t testing.TB) []byte
	// Args follow the program's name; empty ones make a run of 2 to 6 seconds.
	Args []string
	// Short are arguments for a run of well under a second.
	Short []string
	Stdin string
	// Files are what the program finds at the root of its file system.
	Files map[string][]byte
	// ShortExit is the exit code with Short; that with Args is 0.
	ShortExit int
	// Same says that two runs print the same and leave the same files. Without
	// it, Check is what can be said of a run.
	Same bool
	// Check judges what a finished run printed and the files it left, by path
	// without the leading slash. Files are not given for programs that leave
	// none.
	Check func(stdout []byte, files map[string][]byte) error
}

// Examples are the programs of examples/ that every test of the platform runs.
func Examples(t testing.TB) []Example {
	t.Helper()
	return []Example{
		{
			Name:    "primes",
			Program: committed("primes"),
			Short:   []string{"20", "500000"},
			Same:    true,
			Check:   checkContains("up to 10000000: 664579 primes", "which is known to be so"),
		},
		{
			Name:      "countdown",
			Program:   committed("countdown"),
			Short:     []string{"25", "8", "3"},
			ShortExit: 3,
			Same:      true,
			Check:     checkContains("\n1\nlift-off\n"),
		},
		{
			Name:    "ledger",
			Program: committed("ledger"),
			Short:   []string{"20", "300"},
			Same:    true,
			Check:   checkContains("read again from the files: "),
		},
		{
			Name:    "clocks",
			Program: committed("clocks"),
			Short:   []string{"20", "8"},
			Check:   CheckClocks,
		},
		{
			Name:    "pipeline",
			Program: func(t testing.TB) []byte { return Go(t, "examples/pipeline") },
			Short:   []string{"-jobs", "20", "-rounds", "3000"},
			Stdin:   string(exampleFile(t, "pipeline/words.txt")),
			Same:    true,
			Check:   checkContains(" jobs, "),
		},
		{
			Name:    "lua",
			Program: committed("lua"),
			Args:    []string{"/bakery.lua"},
			Short:   []string{"/bakery.lua", "30"},
			Files:   map[string][]byte{"bakery.lua": exampleFile(t, "lua/bakery.lua")},
			Same:    true,
			Check:   checkContains("the books agree with the till"),
		},
	}
}

// Components are programs that are components, to be run and judged like
// Examples. Their exit codes are 0 and 1.
func Components(t testing.TB) []Example {
	t.Helper()
	return []Example{
		{
			Name:    "component-ledger",
			Program: committed("components/ledger"),
			Short:   []string{"20", "300"},
			Same:    true,
			Check:   checkContains("read again from the files: "),
		},
		{
			Name:      "component-tour",
			Program:   committed("components/tour"),
			Args:      []string{"3000"},
			Short:     []string{"300", "1"},
			Stdin:     "one line\nand another\n",
			ShortExit: 1,
			Same:      true,
			Check:     checkContains("input: 21 bytes", "slept long enough: true", "never goes back: true"),
		},
	}
}

func committed(name string) func(testing.TB) []byte {
	return func(t testing.TB) []byte {
		t.Helper()
		return Wasm(t, name)
	}
}

func exampleFile(t testing.TB, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(Root(t), "examples", filepath.FromSlash(path)))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func checkContains(wants ...string) func([]byte, map[string][]byte) error {
	return func(stdout []byte, _ map[string][]byte) error {
		for _, want := range wants {
			if !bytes.Contains(stdout, []byte(want)) {
				return fmt.Errorf("the output lacks %q and ends with %q", want, stdout[max(0, len(stdout)-200):])
			}
		}
		return nil
	}
}
