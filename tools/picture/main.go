// Picture records the terminal of the README: it types commands into a real shell,
// in a directory with the examples of a clone and with a waterbear that it builds,
// and draws what they print, when they print it, as an animated SVG.
//
//	go run -C tools ./picture
//
// It needs bash, curl, and the ports 4004 and 8090, writes docs/terminal.svg, and
// prints the run as it goes.
package main

import (
	"bufio"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// step is a command, and what its output ends with. Nil: it ends by itself.
type step struct {
	command string
	until   *regexp.Regexp
}

var listening = regexp.MustCompile(`listening on http`)

// run is what the picture shows. A line that begins with # is a comment.
var run = []step{
	{"# A model and its tools: three in ten requests fail. A day takes 200 ms.", nil},
	{"go run ./examples/agent/world -day 200ms &", listening},
	{"waterbear server --http-allow localhost 2>log &", listening},
	{"waterbear deploy examples/agent/agent.wasm | head -3", nil},
	{"waterbear invoke --async --key dinner agent/lee work 'a dinner for ann, bob, cid' http://localhost:8090", nil},
	{"sleep 3; waterbear worker logs agent/lee", nil},
	{"waterbear worker get agent/lee | grep -E 'Status|Memory'", nil},
	{"# It waits for a person, for weeks if it must. Pull the plug:", nil},
	{"kill -9 $!; wait $!", nil},
	{"waterbear server --http-allow localhost 2>log &", listening},
	{"curl -sS -o /dev/null -d 'yes, says lee' $(waterbear worker logs agent/lee | grep -o 'http.*')", nil},
	{"# And again, in the middle of its work:", nil},
	{"kill -9 $!; wait $!", nil},
	{"waterbear server --http-allow localhost 2>log &", listening},
	{"waterbear result --wait agent/lee dinner", nil},
	{"waterbear worker logs agent/lee | tail -n +6", nil},
	{"# Whatever was sent twice has happened once:", nil},
	{"curl -s localhost:8090/effects | grep -o '/tools/[a-z]*' | sort | uniq -c", nil},
}

// How the picture goes: a key takes so long, what is done is looked at for so long,
// and nothing is waited for for longer than that.
const (
	key     = 25 * time.Millisecond
	look    = 1200 * time.Millisecond
	longest = 2 * time.Second
)

// line is a line of the terminal, from when it is there.
type line struct {
	text  string
	at    time.Duration
	typed bool
}

func main() {
	log.SetFlags(0)
	root, err := filepath.Abs("..")
	if err != nil {
		log.Fatal(err)
	}
	lines, err := record(root)
	if err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "docs", "terminal.svg"), []byte(draw(lines)), 0o644); err != nil {
		log.Fatal(err)
	}
}

// record runs the commands, and gives the lines with the time they take in the
// picture.
func record(root string) ([]line, error) {
	clone, err := os.MkdirTemp("", "picture-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(clone)
	for _, dir := range []string{"examples/agent", "examples/flaky"} {
		if err := os.CopyFS(filepath.Join(clone, dir), os.DirFS(filepath.Join(root, dir))); err != nil {
			return nil, err
		}
	}
	module, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err == nil {
		err = os.WriteFile(filepath.Join(clone, "go.mod"), module, 0o644)
	}
	if err != nil {
		return nil, err
	}
	bin := filepath.Join(clone, "bin")
	for _, build := range []*exec.Cmd{
		exec.Command("go", "build", "-C", root, "-o", bin+"/waterbear", "./cmd/waterbear"),
		exec.Command("go", "build", "-C", clone, "-o", os.DevNull, "./examples/agent/world"), // so that it starts at once
	} {
		if out, err := build.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%s: %w\n%s", build, err, out)
		}
	}

	s, err := startShell(clone, bin)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	var lines []line
	now := look
	for _, step := range run {
		typed := line{"$ " + step.command, now, true}
		fmt.Println(typed.text)
		lines = append(lines, typed)
		now += time.Duration(len(step.command)) * key
		if strings.HasPrefix(step.command, "#") {
			continue
		}
		printed, err := s.do(step)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", step.command, err)
		}
		began := now
		for _, l := range printed {
			fmt.Println(l.text)
			l.at = max(now, began+min(l.at, longest))
			now = l.at
			lines = append(lines, l)
		}
		now += look
	}
	return lines, nil
}

// shell is a bash that reads commands.
type shell struct {
	cmd    *exec.Cmd
	in     io.Writer
	output chan string // lines
}

// ended is printed behind each command.
const ended = "-- that was it --"

func startShell(dir, bin string) (*shell, error) {
	cmd := exec.Command("bash", "--norc")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "COLUMNS=110")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // with all that it starts
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &shell{cmd, in, make(chan string)}
	go func() {
		for lines := bufio.NewScanner(r); lines.Scan(); {
			s.output <- lines.Text()
		}
	}()
	return s, w.Close()
}

// do runs a command and gives what it prints, and when.
func (s *shell) do(step step) (printed []line, err error) {
	began := time.Now()
	if _, err := fmt.Fprintf(s.in, "%s\necho '%s'\n", step.command, ended); err != nil {
		return nil, err
	}
	over, found := false, step.until == nil
	for !over || !found {
		select {
		case text := <-s.output:
			// Where the line breaks off is the shell's affair.
			text, rest, isEnd := strings.Cut(text, ended)
			over = over || isEnd && rest == ""
			if isEnd && text == "" {
				continue
			}
			printed = append(printed, line{text: text, at: time.Since(began)})
			found = found || step.until.MatchString(text)
		case <-time.After(time.Minute):
			return nil, fmt.Errorf("it does not end; it has printed %v", printed)
		}
	}
	return printed, nil
}

func (s *shell) stop() {
	_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL)
	_ = s.cmd.Wait()
}
