// Package crash kills the real binary at random instants, again and again, and
// demands that nobody can tell: log, files and exit code equal those of a run
// that nothing happened to.
package crash

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var (
	kills = flag.Int("kills", 6, "how often each program is killed")
	seed  = flag.Uint64("seed", 0, "seed of the instants; 0: a new one")
)

// program is an example, and how to tell that a run of it was right.
type program struct {
	name  string
	build string // directory of a Go program, or
	wasm  string // module, below the repository
	args  []string
	stdin string // file
	dir   bool   // shows a host directory, compared too
	// verdict, if set, judges the log of a program whose output differs in
	// every run; it is then not compared.
	verdict string
}

var programs = []program{
	{name: "primes", wasm: "examples/primes/primes.wasm", args: []string{"60"}},
	{name: "countdown", wasm: "examples/countdown/countdown.wasm", args: []string{"60", "20", "7"}},
	{name: "ledger", wasm: "examples/ledger/ledger.wasm", args: []string{"40"}, dir: true},
	{name: "clocks", wasm: "examples/clocks/clocks.wasm", args: []string{"60"}, verdict: "all is well"},
	{name: "pipeline", build: "examples/pipeline", args: []string{"-jobs", "60"}, stdin: "examples/pipeline/words.txt"},
	{name: "lua", wasm: "examples/lua/lua.wasm", args: []string{"/script/tour.lua"}, dir: true},
}

// waterbear is the binary under test, repository its source.
var waterbear, repository string

func TestMain(m *testing.M) {
	flag.Parse()
	code, err := build(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func build(m *testing.M) (int, error) {
	dir, err := os.MkdirTemp("", "waterbear-crash-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	if repository, err = filepath.Abs("../.."); err != nil {
		return 0, err
	}
	waterbear = filepath.Join(dir, "waterbear")
	if out, err := exec.Command("go", "build", "-o", waterbear, filepath.Join(repository, "cmd/waterbear")).CombinedOutput(); err != nil {
		return 0, fmt.Errorf("build waterbear: %w\n%s", err, out)
	}
	return m.Run(), nil
}

func TestKilledProgramsEndAsIfNothingHadHappened(t *testing.T) {
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	for i, p := range programs {
		t.Run(p.name, func(t *testing.T) {
			module := filepath.Join(repository, p.wasm)
			if p.build != "" {
				module = buildGuest(t, p)
			}
			s := storm{t: t, program: p, module: module, random: rand.New(rand.NewPCG(*seed, uint64(i)))}
			s.run()
		})
	}
}

func buildGuest(t *testing.T, p program) string {
	t.Helper()
	module := filepath.Join(t.TempDir(), p.name+".wasm")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", module, ".")
	cmd.Dir = filepath.Join(repository, p.build)
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", p.name, err, out)
	}
	return module
}

// storm is many runs of one program.
type storm struct {
	t *testing.T
	program
	module string
	random *rand.Rand
	place  string // state and directory of the run under way
	cache  string // state whose compiled code is copied, so that only the first run compiles
}

// result is what is left of a run.
type result struct {
	stdout, stderr string
	files          map[string]string
	code           int
}

func (s *storm) run() {
	s.t.Logf("seed %d", *seed)
	s.begin()
	began := time.Now()
	want := s.finished(s.start().Wait())
	usual := time.Since(began)
	s.cache = filepath.Join(s.place, "state", "cache")
	s.begin()
	began = time.Now()
	s.finished(s.start().Wait())
	usual = min(usual, time.Since(began))
	for done := 0; done < *kills; {
		s.begin()
		for ended := false; !ended; {
			var err error
			if done < *kills {
				ended, err = s.kill(usual)
				if !ended {
					done++
					continue
				}
			} else {
				ended, err = true, s.start().Wait()
			}
			s.compare(want, s.finished(err))
		}
	}
	s.t.Logf("%d kills; an uninterrupted run takes %v", *kills, usual.Round(time.Millisecond))
}

// begin makes a new place for a run.
func (s *storm) begin() {
	s.place = s.t.TempDir()
	if s.cache != "" {
		if err := os.CopyFS(filepath.Join(s.place, "state", "cache"), os.DirFS(s.cache)); err != nil {
			s.t.Fatal(err)
		}
	}
	dir := filepath.Join(s.place, "dir")
	if err := os.Mkdir(dir, 0o755); err != nil {
		s.t.Fatal(err)
	}
	if s.name == "lua" {
		if err := os.CopyFS(dir, os.DirFS(filepath.Join(repository, "examples/lua/script"))); err != nil {
			s.t.Fatal(err)
		}
	}
}

// start starts the program, or resumes it.
func (s *storm) start() *exec.Cmd {
	args := []string{"run", "--quiet", "--name", s.name, "--state", filepath.Join(s.place, "state")}
	if s.dir {
		args = append(args, "--dir", filepath.Join(s.place, "dir")+"::/script")
	}
	cmd := exec.Command(waterbear, append(append(args, s.module), s.args...)...)
	if s.stdin != "" {
		f, err := os.Open(filepath.Join(repository, s.stdin))
		if err != nil {
			s.t.Fatal(err)
		}
		s.t.Cleanup(func() { f.Close() })
		cmd.Stdin = f
	}
	cmd.Stderr = new(bytes.Buffer)
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	return cmd
}

// kill starts the program and kills it, half the time soon and half the time
// anywhere within its usual time. It reports whether the program ended first.
func (s *storm) kill(usual time.Duration) (ended bool, err error) {
	cmd := s.start()
	within := usual
	if s.random.IntN(2) == 0 {
		within /= 8
	}
	timer := time.AfterFunc(time.Duration(s.random.Int64N(int64(within))), func() { _ = cmd.Process.Kill() })
	err = cmd.Wait()
	timer.Stop()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == -1 {
		return false, nil
	}
	if err != nil && strings.Contains(fmt.Sprint(cmd.Stderr), "waterbear:") {
		s.t.Fatalf("resumed, it says %v", cmd.Stderr)
	}
	return true, err
}

// finished collects what a run left, which ended with err.
func (s *storm) finished(err error) result {
	s.t.Helper()
	r := result{files: map[string]string{}}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		r.code = exit.ExitCode()
	} else if err != nil {
		s.t.Fatal(err)
	}
	state := filepath.Join(s.place, "state")
	r.stdout = s.tell("logs", "--state", state, "--stream", "stdout", s.name)
	r.stderr = s.tell("logs", "--state", state, "--stream", "stderr", s.name)
	copied := filepath.Join(s.place, "files")
	s.tell("cp", "--state", state, s.name+":/", copied)
	for _, root := range []string{copied, filepath.Join(s.place, "dir")} {
		if err := collect(r.files, root); err != nil {
			s.t.Fatal(err)
		}
	}
	return r
}

// tell runs a reading command and gives what it prints.
func (s *storm) tell(args ...string) string {
	s.t.Helper()
	cmd := exec.Command(waterbear, args...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		s.t.Fatalf("waterbear %s: %v\n%s", strings.Join(args, " "), err, &said)
	}
	return out.String() + said.String()
}

// collect reads all files below root.
func collect(files map[string]string, root string) error {
	return fs.WalkDir(os.DirFS(root), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(filepath.Join(root, name))
		files[filepath.Base(root)+"/"+name] = string(content)
		return err
	})
}

func (s *storm) compare(want, got result) {
	s.t.Helper()
	if got.code != want.code {
		s.t.Errorf("exit code %d, want %d (seed %d)", got.code, want.code, *seed)
	}
	if s.verdict != "" {
		if !strings.Contains(got.stdout, s.verdict) {
			s.t.Errorf("the program's own verdict is not %q (seed %d):\n%s", s.verdict, *seed, tail(got.stdout))
		}
		return
	}
	same := func(what, want, got string) {
		if want != got {
			s.t.Errorf("%s differs (seed %d): %d bytes, want %d; the ends are\n%s\nand\n%s", what, *seed, len(got), len(want), tail(got), tail(want))
		}
	}
	same("stdout", want.stdout, got.stdout)
	same("stderr", want.stderr, got.stderr)
	for name, content := range want.files {
		same(name, content, got.files[name])
	}
	if len(got.files) != len(want.files) {
		s.t.Errorf("%d files, want %d (seed %d)", len(got.files), len(want.files), *seed)
	}
}

func tail(s string) string { return s[max(0, len(s)-300):] }
