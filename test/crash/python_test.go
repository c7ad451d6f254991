package crash

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/internal/guests"
)

// script is the example in Python, with a state of its own.
type script struct {
	t     *testing.T
	dir   string // of the example
	state string
}

// start starts it under a name, or resumes it.
func (s *script) start(name string) *exec.Cmd {
	cmd := exec.Command(waterbear, "run", "--quiet", "--state", s.state, "--name", name,
		"--env", "PYTHONHOME=/usr", "--env", "PYTHONDONTWRITEBYTECODE=1", "--dir", filepath.Join(s.dir, "lib")+"::/usr/lib",
		"--dir", filepath.Join(s.state, "scripts")+"::/scripts", filepath.Join(s.dir, "python.wasm"), "/scripts/crawl.py", "15", "10")
	cmd.Stderr = new(bytes.Buffer)
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	return cmd
}

// left is what it has printed, and the file that it has kept.
func (s *script) left(name string) string {
	s.t.Helper()
	out, err := exec.Command(waterbear, "logs", "--state", s.state, name).Output()
	if err != nil {
		s.t.Fatal(err)
	}
	kept := filepath.Join(s.t.TempDir(), "crawled.json")
	if said, err := exec.Command(waterbear, "cp", "--state", s.state, name+":/crawled.json", kept).CombinedOutput(); err != nil {
		s.t.Fatalf("%v: %s", err, said)
	}
	saved, err := os.ReadFile(kept)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(out) + string(saved)
}

// TestAPythonScriptThatIsKilledEndsAsIfNothingHadHappened needs an interpreter that
// is too large to be committed.
func TestAPythonScriptThatIsKilledEndsAsIfNothingHadHappened(t *testing.T) {
	s := &script{t: t, dir: filepath.Join(guests.Root(t), "examples", "python"), state: t.TempDir()}
	if _, err := os.Stat(filepath.Join(s.dir, "python.wasm")); err != nil {
		t.Skip("CPython is not built: run examples/python/build.sh")
	}
	source, err := os.ReadFile(filepath.Join(s.dir, "crawl.py"))
	scripts := filepath.Join(s.state, "scripts")
	if err := errors.Join(err, os.Mkdir(scripts, 0o755), os.WriteFile(filepath.Join(scripts, "crawl.py"), source, 0o644)); err != nil {
		t.Fatal(err)
	}
	random := randomOf(t, 1300)
	if err := s.start("compiles").Wait(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := s.start("undisturbed").Wait(); err != nil {
		t.Fatal(err)
	}
	usual, want := time.Since(began), s.left("undisturbed")
	killed := 0
	for wanted, run := share(2), 1; killed < wanted; run++ {
		name := fmt.Sprint("run", run)
		for ended := false; !ended; {
			cmd := s.start(name)
			if killed < wanted {
				time.AfterFunc(time.Duration(random.Int64N(int64(usual))), func() { _ = cmd.Process.Kill() })
			}
			err := cmd.Wait()
			var exit *exec.ExitError
			if errors.As(err, &exit) && exit.ExitCode() == -1 {
				killed++
				continue
			}
			if err != nil {
				t.Fatalf("after %d kills: %v\n%s", killed, err, cmd.Stderr)
			}
			ended = true
		}
		if got := s.left(name); got != want {
			t.Errorf("after %d kills it has left (seed %d)\n%s\nwant\n%s", killed, *seed, got, want)
		}
	}
	t.Logf("%d kills; an uninterrupted run takes %v", killed, usual.Round(time.Millisecond))
}
