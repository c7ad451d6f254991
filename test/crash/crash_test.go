// Package crash kills the real binary at random instants, again and again, and
// demands that nobody can tell: log, files and exit code of a program equal those
// of a run that nothing happened to, and clients of a server get each answer that
// they would have got, once.
package crash

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/internal/guests"
)

var (
	kills = flag.Int("kills", 6, "kills to share out: half of them to each program and to the server under load")
	seed  = flag.Uint64("seed", 0, "seed of the instants; 0: a new one")
)

// waterbear is the binary under test.
var waterbear string

// shortKills is for how many kills a run of less than a second has room.
const shortKills = 40

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
	waterbear = filepath.Join(dir, "waterbear")
	if out, err := exec.Command("go", "build", "-o", waterbear, "../../cmd/waterbear").CombinedOutput(); err != nil {
		return 0, fmt.Errorf("build waterbear: %w\n%s", err, out)
	}
	return m.Run(), nil
}

func TestKilledProgramsEndAsIfNothingHadHappened(t *testing.T) {
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	for i, example := range slices.Concat(guests.Examples(t), guests.Components(t)) {
		t.Run(example.Name, func(t *testing.T) {
			module := filepath.Join(t.TempDir(), example.Name+".wasm")
			if err := os.WriteFile(module, example.Program(t), 0o644); err != nil {
				t.Fatal(err)
			}
			s := storm{t: t, Example: example, module: module, random: rand.New(rand.NewPCG(*seed, uint64(i)))}
			s.run()
		})
	}
}

// storm is many runs of one program.
type storm struct {
	t *testing.T
	guests.Example
	module string
	random *rand.Rand
	place  string // state and directory of the run under way
	cache  string // state whose compiled code is copied, so that only the first run compiles
}

// result is what is left of a run.
type result struct {
	stdout, stderr string
	files          map[string][]byte
	code           int
}

func (s *storm) run() {
	s.t.Logf("seed %d", *seed)
	s.begin()
	began := time.Now()
	want := s.finished(s.start().Wait())
	usual := time.Since(began)
	s.cache = filepath.Join(s.state(), "cache")
	s.begin()
	began = time.Now()
	s.finished(s.start().Wait())
	usual = min(usual, time.Since(began))
	kills := share(2)
	for done := 0; done < kills; {
		s.begin()
		for ended := false; !ended; {
			var err error
			if done < kills {
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
	s.t.Logf("%d kills; an uninterrupted run takes %v", kills, usual.Round(time.Millisecond))
}

// begin makes a new place for a run.
func (s *storm) begin() {
	s.place = s.t.TempDir()
	if s.cache != "" {
		if err := os.CopyFS(filepath.Join(s.state(), "cache"), os.DirFS(s.cache)); err != nil {
			s.t.Fatal(err)
		}
	}
	if err := os.Mkdir(s.shown(), 0o755); err != nil {
		s.t.Fatal(err)
	}
	for name, content := range s.Files {
		if err := os.WriteFile(filepath.Join(s.shown(), name), content, 0o644); err != nil {
			s.t.Fatal(err)
		}
	}
}

// shown is the host directory that the program has as its root.
func (s *storm) shown() string { return filepath.Join(s.place, "root") }

// start starts the program, or resumes it.
func (s *storm) start() *exec.Cmd {
	args := []string{"run", "--quiet", "--name", s.Name, "--state", s.state(), "--dir", s.shown() + "::/", s.module}
	cmd := exec.Command(waterbear, append(args, s.args()...)...)
	cmd.Stdin = strings.NewReader(s.Stdin)
	cmd.Stderr = new(bytes.Buffer)
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	return cmd
}

// args make a run of some seconds where there are many kills to place.
func (s *storm) args() []string {
	if *kills > shortKills {
		return s.Args
	}
	return s.Short
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
	r := result{files: map[string][]byte{}}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		r.code = exit.ExitCode()
	} else if err != nil {
		s.t.Fatal(err)
	}
	r.stdout = s.tell("logs", "--state", s.state(), "--stream", "stdout", s.Name)
	r.stderr = s.tell("logs", "--state", s.state(), "--stream", "stderr", s.Name)
	copied := filepath.Join(s.place, "copied")
	s.tell("cp", "--state", s.state(), s.Name+":/", copied)
	kept := map[string][]byte{}
	for root, files := range map[string]map[string][]byte{s.shown(): r.files, copied: kept} {
		if err := collect(files, root); err != nil {
			s.t.Fatal(err)
		}
	}
	if !maps.EqualFunc(r.files, kept, bytes.Equal) {
		s.t.Errorf("the worker's files are not those that were written back (seed %d)", *seed)
	}
	return r
}

func (s *storm) state() string { return filepath.Join(s.place, "state") }

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
func collect(files map[string][]byte, root string) error {
	return fs.WalkDir(os.DirFS(root), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		files[name], err = os.ReadFile(filepath.Join(root, name))
		return err
	})
}

func (s *storm) compare(want, got result) {
	s.t.Helper()
	if err := s.Check([]byte(got.stdout), got.files); err != nil {
		s.t.Errorf("%v (seed %d)", err, *seed)
	}
	if got.code != want.code {
		s.t.Errorf("exit code %d, want %d (seed %d)", got.code, want.code, *seed)
	}
	if !s.Same {
		return
	}
	same := func(what, want, got string) {
		if want != got {
			s.t.Errorf("%s differs (seed %d): %d bytes, want %d; the ends are\n%s\nand\n%s", what, *seed, len(got), len(want), tail(got), tail(want))
		}
	}
	same("stdout", want.stdout, got.stdout)
	same("stderr", want.stderr, got.stderr)
	if !maps.EqualFunc(want.files, got.files, bytes.Equal) {
		s.t.Errorf("the files differ (seed %d)", *seed)
	}
}

func tail(s string) string { return s[max(0, len(s)-300):] }
