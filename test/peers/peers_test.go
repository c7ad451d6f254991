//go:build linux

package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestFiguresAreOfWhatEndsWhileItIsMeasured(t *testing.T) {
	second := time.Second
	calls := [][]call{
		{{0, second / 2}},                        // ends in the warm-up
		{{second / 2, second}},                   // begins there: counts for the rate alone
		{{2 * second, 10 * time.Millisecond}},    // counts for both
		{{3 * second, 30 * time.Millisecond}},    // and this
		{{4*second - second/10, second}, {0, 0}}, // ends too late
	}
	at := time.Now()
	f := figures(calls, second, 4*second, usage{at: at}, usage{at: at.Add(3 * second), server: 0.3, machine: 3.3, written: 12})
	for name, want := range map[string]float64{"calls/s": 1, "p50-ms": 30, "max-ms": 30, "server-us": 100_000, "written-B": 4, "other-cores": 1} {
		if got := f[name]; got < want-1e-9 || got > want+1e-9 {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
}

func TestReportHasMediansAndRanges(t *testing.T) {
	file := filepath.Join(t.TempDir(), "results")
	var lines strings.Builder
	for _, rate := range []string{"1234", "11", "3.14159"} {
		lines.WriteString(`{"column":"raw","workload":"w1","clients":100,"figures":{"calls/s":` + rate + "}}\n")
	}
	lines.WriteString(`{"column":"restate","workload":"w1","clients":100,"figures":{"p50-ms":2}}` + "\n")
	if err := os.WriteFile(file, []byte(lines.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := printReport(&out, file); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"w1, 100 clients", "| 11.0 (3.14–1234)", "| restate | 1"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report has no %q:\n%s", want, out.String())
		}
	}
}

func TestSyncsAreTakenFromStrace(t *testing.T) {
	table := `% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 99.00    0.104000         104      1000           fdatasync
  1.00    0.000100          10        10         1 fsync
------ ----------- ----------- --------- --------- ----------------
100.00    0.104100                  1010         1 total
`
	if got := sumOfCalls(table); got != 1010 {
		t.Errorf("got %v syncs, want 1010", got)
	}
}

// Every workload, in small, with what this repository builds itself.
func TestOurColumnsRunEveryWorkload(t *testing.T) {
	if testing.Short() {
		t.Skip("it starts and kills servers")
	}
	dir := t.TempDir()
	build := func(binary, source string) {
		t.Helper()
		if out, err := exec.Command("go", "build", "-o", filepath.Join(dir, "bin", binary), source).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	build("raw", "./raw")
	build("waterbear", "../../cmd/waterbear")
	program, err := os.ReadFile("waterbear/waterbear.wasm")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "waterbear.wasm"), program, 0o644); err != nil {
		t.Fatal(err)
	}
	s := &settings{
		dir: dir, columns: []string{"waterbear", "raw"}, workloads: []string{"cold", "w1", "w2", "w3", "w4", "w5"}, rounds: 1,
		seconds: 100 * time.Millisecond, warm: 10 * time.Millisecond, sleepers: 100, steps: []int{50}, results: filepath.Join(dir, "results"),
	}
	if err := measure(context.Background(), s); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := printReport(&out, s.results); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"w1, 100 clients", "w2, 64 clients", "w3", "w4, 50 steps, killed: all", "w5, 64 clients", "cold"} {
		if strings.Count(out.String(), want+"\n") != 1 {
			t.Errorf("the report has no table %q", want)
		}
	}
}
