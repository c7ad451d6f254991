package cli

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/waterbear-run/waterbear/internal/guests"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"waterbear": func() { os.Exit(Main(os.Args, os.Stdin, os.Stdout, os.Stderr, os.Environ())) },
	})
}

// patience bounds every wait of a script.
const patience = 30 * time.Second

// binaries are files of every script that a txtar archive cannot hold.
var binaries = map[string]string{
	// (module (memory (export "memory") 1) (func (export "_start") unreachable))
	"trap.wasm": "\x00asm\x01\x00\x00\x00" +
		"\x01\x04\x01\x60\x00\x00" +
		"\x03\x02\x01\x00" +
		"\x05\x03\x01\x00\x01" +
		"\x07\x13\x02\x06memory\x02\x00\x06_start\x00\x00" +
		"\x0a\x05\x01\x03\x00\x00\x0b",
	"broken.wasm": "\x00asm\x01\x00\x00\x00\x01\x7f",
	// What the guest's "both" writes.
	"both.out": "out\x00\xffmore",
	"both.err": "err\x01\xfe",
}

// passedOn are the variables that started processes have, if the script does.
var passedOn = []string{"PATH", "HOME", "TMPDIR", "GOCACHE", "WATERBEAR_STATE", "NO_COLOR", "TERM"}

type processesKey struct{}

// processes are those a script has started and not yet seen end, by name.
type processes map[string]*started

type started struct {
	*exec.Cmd
	input io.WriteCloser // if the script types it
}

// TestScripts runs the stories of testdata/script: each is what a person types,
// and what must come of it. $GUEST is the program of testdata/guest, $TOUR a
// component in Rust, $KIT one that is a library.
func TestScripts(t *testing.T) {
	// Who runs the tests may ignore SIGHUP, as nohup does, and programs inherit
	// that; they do not inherit that we listen to it.
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	t.Cleanup(func() { signal.Stop(hangups) })
	guest, cache := buildGuest(t)
	root := guests.Root(t)
	goCache, err := exec.Command("go", "env", "GOCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			self, err := exec.LookPath("waterbear")
			if err != nil {
				return err
			}
			env.Setenv("WATERBEAR", self)
			env.Setenv("GUEST", guest)
			env.Setenv("TOUR", filepath.Join(root, "internal", "guests", "testdata", "components", "tour.wasm"))
			env.Setenv("KIT", filepath.Join(root, "examples", "kit", "c.wasm"))
			env.Setenv("GOCACHE", strings.TrimSpace(string(goCache)))
			all := processes{}
			env.Values[processesKey{}] = all
			env.Defer(func() {
				for _, p := range all {
					_ = p.Process.Kill()
					_ = p.Wait()
				}
			})
			for name, content := range binaries {
				if err := os.WriteFile(filepath.Join(env.WorkDir, name), []byte(content), 0o644); err != nil {
					return err
				}
			}
			return os.CopyFS(filepath.Join(env.WorkDir, ".waterbear", "cache"), os.DirFS(cache))
		},
		Condition: func(cond string) (bool, error) {
			return cond == "root" && os.Getuid() == 0, nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"code": codeCmd, "start": startCmd, "type": typeCmd, "damage": damageCmd, "signal": signalCmd, "ended": endedCmd, "await": awaitCmd,
		},
	})
}

// buildGuest builds the tests' program and gives a directory of what it
// compiles to, which spares each script the compiling.
func buildGuest(t *testing.T) (program, cache string) {
	t.Helper()
	dir := t.TempDir()
	program = filepath.Join(dir, "guest.wasm")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", program, "./testdata/guest")
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the guest: %v\n%s", err, out)
	}
	var out, errs bytes.Buffer
	state := filepath.Join(dir, "state")
	if code := Main([]string{"waterbear", "run", "--state", state, program}, nil, &out, &errs, nil); code != 0 || out.String() != "hello\n" {
		t.Fatalf("run the guest: exit code %d, stdout %q, stderr %q", code, &out, &errs)
	}
	return program, filepath.Join(state, "cache")
}

// codeCmd runs a command that must end with an exit code: code N COMMAND...
func codeCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N COMMAND...")
	}
	got := 0
	err := ts.Exec(args[1], args[2:]...)
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if want := args[0]; strconv.Itoa(got) != want {
		ts.Fatalf("exit code %d, want %s", got, want)
	}
}

// startCmd starts a process that goes on beside the script, with its output in
// NAME.out and NAME.err: start NAME [<FILE] COMMAND... or, to have the file's
// content come through a pipe, start NAME |FILE COMMAND...; or, to give it later
// with type, start NAME | COMMAND...
func startCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: start NAME [<FILE] COMMAND...")
	}
	name, args := args[0], args[1:]
	input, piped, typed := os.DevNull, false, false
	if in, ok := strings.CutPrefix(args[0], "<"); ok {
		input, args = ts.MkAbs(in), args[1:]
	} else if args[0] == "|" {
		args, typed = args[1:], true
	} else if in, ok := strings.CutPrefix(args[0], "|"); ok {
		input, args, piped = ts.MkAbs(in), args[1:], true
	}
	p := &started{Cmd: exec.Command(args[0], args[1:]...)}
	p.Dir = ts.MkAbs(".")
	for _, key := range passedOn {
		if v := ts.Getenv(key); v != "" {
			p.Env = append(p.Env, key+"="+v)
		}
	}
	// The process has its own copies of these once it runs.
	in, err := os.Open(input)
	ts.Check(err)
	defer in.Close()
	out, err := os.Create(ts.MkAbs(name + ".out"))
	ts.Check(err)
	defer out.Close()
	errs, err := os.Create(ts.MkAbs(name + ".err"))
	ts.Check(err)
	defer errs.Close()
	p.Stdin, p.Stdout, p.Stderr = in, out, errs
	if piped {
		content, err := os.ReadFile(input)
		ts.Check(err)
		p.Stdin = bytes.NewReader(content)
	}
	if typed {
		p.Stdin = nil
		p.input, err = p.StdinPipe()
		ts.Check(err)
	}
	ts.Check(p.Start())
	ts.Value(processesKey{}).(processes)[name] = p
}

// signalCmd sends a signal to a started process: signal NAME INT
func signalCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: signal NAME SIGNAL")
	}
	sig, ok := map[string]syscall.Signal{
		"INT": syscall.SIGINT, "TERM": syscall.SIGTERM, "HUP": syscall.SIGHUP, "KILL": syscall.SIGKILL,
	}[args[1]]
	if !ok {
		ts.Fatalf("no signal %s", args[1])
	}
	ts.Check(process(ts, args[0]).Process.Signal(sig))
}

// endedCmd waits for a started process, whose exit code or signal must be as
// told: ended NAME 0, ended NAME killed
func endedCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: ended NAME CODE|SIGNAL")
	}
	p := process(ts, args[0])
	late := time.AfterFunc(patience, func() { _ = p.Process.Signal(syscall.SIGQUIT) })
	_ = p.Wait()
	inTime := late.Stop()
	delete(ts.Value(processesKey{}).(processes), args[0])
	got := strconv.Itoa(p.ProcessState.ExitCode())
	if status := p.ProcessState.Sys().(syscall.WaitStatus); status.Signaled() {
		got = status.Signal().String()
	}
	if got != args[1] || !inTime {
		ts.Fatalf("%s ended by %s (in time: %v), want %s; it wrote\n%s%s", args[0], got, inTime, args[1],
			ts.ReadFile(args[0]+".out"), ts.ReadFile(args[0]+".err"))
	}
}

// awaitCmd waits until a file matches: await FILE REGEXP
func awaitCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: await FILE REGEXP")
	}
	want := regexp.MustCompile("(?m)" + args[1])
	for began := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		b, err := os.ReadFile(ts.MkAbs(args[0]))
		if err == nil && want.Match(b) {
			return
		}
		if time.Since(began) > patience {
			ts.Fatalf("%s does not match %s: %q, %v", args[0], args[1], b, err)
		}
	}
}

// typeCmd types a line to a started process, or ends its input: type NAME [LINE]
func typeCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: type NAME [LINE]")
	}
	input := process(ts, args[0]).input
	if len(args) == 1 {
		ts.Check(input.Close())
		return
	}
	_, err := io.WriteString(input, args[1]+"\n")
	ts.Check(err)
}

// damageCmd flips a bit of TEXT in the one file of DIR that has it:
// damage DIR TEXT
func damageCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: damage DIR TEXT")
	}
	files, err := filepath.Glob(filepath.Join(ts.MkAbs(args[0]), "*"))
	ts.Check(err)
	for _, name := range files {
		b, err := os.ReadFile(name)
		ts.Check(err)
		if at := bytes.Index(b, []byte(args[1])); at >= 0 {
			b[at] ^= 1
			ts.Check(os.WriteFile(name, b, 0o600))
			return
		}
	}
	ts.Fatalf("no file of %s has %q", args[0], args[1])
}

func process(ts *testscript.TestScript, name string) *started {
	p, ok := ts.Value(processesKey{}).(processes)[name]
	if !ok {
		ts.Fatalf("%s was not started or has ended", name)
	}
	return p
}
