package wasip2

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/internal/component"
	"github.com/waterbear-run/waterbear/internal/component/binary"
	"github.com/waterbear-run/waterbear/internal/guests"
	"github.com/waterbear-run/waterbear/internal/host/ambient"
	"github.com/waterbear-run/waterbear/internal/host/filesystem"
	"github.com/waterbear-run/waterbear/internal/host/inbound"
	"github.com/waterbear-run/waterbear/internal/host/wasi"
	"github.com/waterbear-run/waterbear/internal/wasm"
	"github.com/waterbear-run/waterbear/wit"
)

// unrecorded is the world as it is.
type unrecorded struct {
	start          time.Time
	stdin          io.Reader
	stdout, stderr bytes.Buffer
}

func (l *unrecorded) Realtime() (uint64, error)  { return uint64(time.Now().UnixNano()), nil }
func (l *unrecorded) Monotonic() (uint64, error) { return uint64(time.Since(l.start)) + 1, nil }
func (l *unrecorded) Touch() error               { return nil }
func (l *unrecorded) Fill(p []byte) error        { _, err := rand.Read(p); return err }
func (l *unrecorded) stamp() uint64              { return uint64(time.Now().UnixNano()) }

func (l *unrecorded) Wait(deadline uint64, stdin bool) (ambient.Readiness, error) {
	if !stdin {
		now, _ := l.Monotonic()
		if now < deadline {
			time.Sleep(time.Duration(deadline - now))
		}
	}
	now, err := l.Monotonic()
	return ambient.Readiness{Now: now, Stdin: stdin, Bytes: 1}, err
}

func (l *unrecorded) Read(limit int) ([]byte, error) {
	if l.stdin == nil {
		return nil, nil
	}
	p := make([]byte, min(limit, 4096))
	n, err := l.stdin.Read(p)
	if err == io.EOF {
		err = nil
	}
	return p[:n], err
}

func (l *unrecorded) Write(stream int, p []byte) error {
	if stream == stdout {
		l.stdout.Write(p)
	} else {
		l.stderr.Write(p)
	}
	return nil
}

// command is how a component is run as a command.
type command struct {
	args, env []string
	root      string // a directory of the host to show as "/", or none
	stdin     string
}

type outcome struct {
	code           uint32
	stdout, stderr string
	fs             *filesystem.FS
}

// engine is one for all tests: compiling is most of their time.
var engine = sync.OnceValues(func() (*wasm.Engine, error) {
	return wasm.New(context.Background(), wasm.Config{})
})

func compile(t testing.TB, source []byte) *component.Program {
	t.Helper()
	e, err := engine()
	must(t, err)
	c, err := binary.Decode(source)
	must(t, err)
	p, err := component.Compile(context.Background(), e, c, Interfaces(), nil)
	must(t, err)
	t.Cleanup(func() { must(t, p.Close()) })
	return p
}

// entryOf is the name under which a component exports wasi:cli/run.
func entryOf(t testing.TB, p *component.Program) string {
	t.Helper()
	for _, e := range p.Exports() {
		if strings.HasPrefix(e.Name, "wasi:cli/run@0.2.") && strings.HasSuffix(e.Name, "#run") {
			return e.Name
		}
	}
	t.Fatal("the component is no command")
	return ""
}

// run runs a command to its end.
func run(t testing.TB, p *component.Program, c command) outcome {
	t.Helper()
	l := &unrecorded{start: time.Now(), stdin: strings.NewReader(c.stdin)}
	files := filesystem.New(filesystem.Config{Now: l.stamp, Load: func(o filesystem.Origin) (io.ReadCloser, error) {
		return os.Open(filepath.Join(c.root, o.Path))
	}})
	config := wasi.Config{Args: c.args, Env: c.env, FS: files, Clocks: l, Random: l, Stdio: l}
	if c.root != "" {
		must(t, files.Import(filesystem.Root, 1, tree(t, c.root)))
		_, err := files.MkdirAll(filesystem.Root, "tmp")
		must(t, err)
		config.Preopens = []wasi.Preopen{{Name: "/", Dir: filesystem.Root}}
	}
	s, err := New(config)
	must(t, err)
	in, err := p.Instantiate(context.Background(), component.Config{State: s})
	must(t, err)
	defer in.Close()
	result, err := in.Call(context.Background(), entryOf(t, p), nil)
	o := outcome{stdout: l.stdout.String(), stderr: l.stderr.String(), fs: files}
	var exit *wasi.ExitError
	switch {
	case errors.As(err, &exit):
		o.code = exit.Code
	case err != nil:
		t.Fatalf("the program failed: %v\nstdout: %s\nstderr: %s", err, o.stdout, o.stderr)
	default:
		o.code = result.(wit.Case).Index
	}
	return o
}

// tree is a directory of the host as an imported tree.
func tree(t testing.TB, root string) (list []filesystem.Imported) {
	t.Helper()
	must(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		im := filesystem.Imported{Path: filepath.ToSlash(rel), Kind: filesystem.File, Size: uint64(info.Size()), Mtime: uint64(info.ModTime().UnixNano())}
		switch {
		case d.IsDir():
			im.Kind = filesystem.Directory
		case d.Type()&fs.ModeSymlink != 0:
			im.Kind = filesystem.Symlink
			im.Target, err = os.Readlink(path)
		}
		list = append(list, im)
		return err
	}))
	return list
}

func TestCommandFindsWhatItAsksFor(t *testing.T) {
	want, err := os.ReadFile("testdata/posix.txt")
	must(t, err)
	o := run(t, compile(t, guests.Wasm(t, "components/posix")), command{
		args: []string{"posix", "one", "two words"}, env: []string{"POSIX=yes"}, root: t.TempDir(), stdin: "first\nsecond\nlast",
	})
	if o.stdout != string(want) {
		t.Errorf("got\n%s\nwant\n%s", o.stdout, want)
	}
	if o.code != 1 || o.stderr != "to stderr\n" {
		t.Errorf("got code %d, stderr %q", o.code, o.stderr)
	}
}

func TestCommandInRustFindsWhatItAsksFor(t *testing.T) {
	o := run(t, compile(t, guests.Wasm(t, "components/tour")), command{
		args: []string{"tour", "5", "3"}, env: []string{"A=b"}, root: t.TempDir(), stdin: "one\ntwo\n",
	})
	want := `arguments: ["5", "3"]
environment: [("A", "b")]
line 1: one
line 2: two
input: 8 bytes
tail: "line\n", length 23
one: "first LINE\n"
tour: [Ok("deep"), Ok("three")]
tour/deep: [Ok("two")]
missing: Err(NotFound)
outside: true
not empty: true
modified plausibly: true
wall clock plausible: true
slept long enough: true
never goes back: true
random numbers: 100
`
	if o.stdout != want || o.stderr != "tour: done\n" || o.code != 1 {
		t.Errorf("got code %d\n%s%s", o.code, o.stdout, o.stderr)
	}
}

func TestHandlerOfRequestsAnswers(t *testing.T) {
	p := compile(t, guests.Wasm(t, "components/http"))
	entry := ""
	for _, e := range p.Exports() {
		if strings.HasPrefix(e.Name, "wasi:http/incoming-handler@0.2.") {
			entry = e.Name
		}
	}
	long := strings.Repeat("0123456789abcdef", 1000)
	r := newRig(t, wasi.Config{})
	in, err := p.Instantiate(context.Background(), component.Config{State: r.sys})
	must(t, err)
	defer in.Close()
	for _, c := range []struct{ path, body, want string }{
		{"/?a=b", "", `200 content-type=text/plain "request 1: POST a=b\n" end`},
		{"/echo", long, `200 content-type=text/x "` + long + `" end`},
		{"/none", "", `404 content-type=text/plain "not found\n" end`},
		{"/fetch", "127.0.0.1:80/x", `502 content-type=text/plain "ErrorCode::HttpRequestDenied" end`},
		{"/fetch", "", `502 content-type=text/plain "bad authority" end`},
		{"/", "", `200 content-type=text/plain "request 6: POST \n" end`},
	} {
		served := newServed(&inbound.Request{
			Method: "POST", Scheme: "http", Authority: "example.com", Path: c.path, Body: inbound.Inline([]byte(c.body)),
			Fields: []inbound.Field{{Name: "content-type", Value: []byte("text/x")}},
		})
		request, out, err := r.sys.Serve(served.Serving)
		must(t, err)
		_, err = in.Call(context.Background(), entry, []wit.Value{request, out})
		must(t, err)
		must(t, r.sys.EndServing())
		if got := served.told(t); got != c.want {
			t.Errorf("%s: got %.200s, want %.200s", c.path, got, c.want)
		}
		r.empty()
	}
}

// library is an instance of the component steps, and what it runs in.
type library struct {
	t        testing.TB
	program  *component.Program
	rig      *rig
	instance *component.Instance
}

func newLibrary(t testing.TB, p *component.Program) *library {
	l := &library{t: t, program: p, rig: newRig(t, wasi.Config{})}
	var err error
	l.instance, err = p.Instantiate(context.Background(), component.Config{State: l.rig.sys})
	must(t, err)
	t.Cleanup(func() { must(t, l.instance.Close()) })
	return l
}

func (l *library) call(name string, args ...wit.Value) wit.Value {
	l.t.Helper()
	v, err := l.instance.Call(context.Background(), name, args)
	if err != nil {
		l.t.Fatalf("%s: %v", name, err)
	}
	return v
}

// move goes on in another instance, which is given the state of this one.
func (l *library) move() {
	l.t.Helper()
	rig := l.rig.reopened(wasi.Config{})
	to, err := l.program.Blank(context.Background(), component.Config{State: rig.sys})
	must(l.t, err)
	for i, m := range l.program.Modules() {
		saved := m.NewSaved()
		must(l.t, l.instance.Cores()[i].Save(saved))
		must(l.t, to.Cores()[i].Restore(saved))
		must(l.t, saved.Close())
	}
	handles, err := l.instance.AppendHandles(nil)
	must(l.t, err)
	must(l.t, to.ReadHandles(handles))
	must(l.t, l.instance.Close())
	l.rig, l.instance = rig, to
}

func TestRestoredComponentGoesOnWithWhatItHasOpen(t *testing.T) {
	p := compile(t, guests.Wasm(t, "components/steps"))
	steady, moving := newLibrary(t, p), newLibrary(t, p)
	if why := moving.instance.Unimageable(); len(why) > 0 {
		t.Fatal(why)
	}
	for i, step := range []struct {
		name string
		args []wit.Value
		want wit.Value
	}{
		{"open", nil, true},
		{"append", []wit.Value{uint32(5)}, uint32(1)},
		{"entries", []wit.Value{uint32(2)}, uint32(2)},
		{"append", []wit.Value{uint32(70)}, uint32(2)},
		{"nap", []wit.Value{uint32(10)}, nil},
		{"sum", nil, uint32(75)},
		{"entries", []wit.Value{uint32(9)}, uint32(1)},
		{"append", []wit.Value{uint32(900)}, uint32(3)},
		{"sum", nil, uint32(975)},
		{"close", nil, true},
	} {
		want, got := steady.call(step.name, step.args...), moving.call(step.name, step.args...)
		if got != want || step.want != nil && got != step.want {
			t.Errorf("step %d, %s: got %v, and %v after moving, want %v", i, step.name, want, got, step.want)
		}
		if string(steady.rig.stdout) != string(moving.rig.stdout) || steady.rig.now != moving.rig.now {
			t.Fatalf("step %d, %s: the world is another after moving", i, step.name)
		}
		moving.move()
	}
	if a, b := steady.rig.sys.AppendState(nil), moving.rig.sys.AppendState(nil); string(a) != string(b) {
		t.Errorf("the state is %x, and %x after moving", a, b)
	}
	moving.rig.equal(string(moving.rig.stdout), "line 5\nline 70\nline 900\n")
	moving.rig.equal(moving.rig.sys.files, 1) // the directory that the library was given
}
