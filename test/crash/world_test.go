package crash

import (
	"bufio"
	"encoding/json"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/waterbear-run/waterbear/examples/flaky"
	"github.com/waterbear-run/waterbear/internal/guests"
)

// world is the fake services of an example, in a process of their own that nobody
// kills.
type world struct {
	t   *testing.T
	url string
}

var worldLine = regexp.MustCompile(`^listening on (http://\S+)\n`)

// startWorld builds and starts the command of a directory of examples.
func startWorld(t *testing.T, dir string, flags ...string) *world {
	t.Helper()
	program := filepath.Join(t.TempDir(), "world")
	source := filepath.Join(guests.Root(t), "examples", filepath.FromSlash(dir))
	if out, err := exec.Command("go", "build", "-o", program, source).CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", dir, err, out)
	}
	cmd := exec.Command(program, append([]string{"-listen", "127.0.0.1:0"}, flags...)...)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	m := worldLine.FindStringSubmatch(line)
	if m == nil {
		t.Fatalf("%s says %q, %v", dir, line, err)
	}
	return &world{t: t, url: m[1]}
}

// effects are what it has done, in order, each for a key of its own.
func (w *world) effects() []flaky.Effect {
	w.t.Helper()
	response, err := http.Get(w.url + "/effects")
	if err != nil {
		w.t.Fatal(err)
	}
	defer response.Body.Close()
	var all []flaky.Effect
	if err := json.NewDecoder(response.Body).Decode(&all); err != nil {
		w.t.Fatal(err)
	}
	return all
}
