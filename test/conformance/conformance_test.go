// Package conformance runs suites that others have written.
package conformance

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/internal/component"
	"github.com/waterbear-run/waterbear/internal/component/binary"
	"github.com/waterbear-run/waterbear/internal/wasm"
	"github.com/waterbear-run/waterbear/wit"
	"github.com/waterbear-run/waterbear/wit/wittest"
)

// sharedDirectory is where data lies that is not part of the repository: where
// WATERBEAR_SHARED says, or beside the repository.
func sharedDirectory(t *testing.T) string {
	dir := os.Getenv("WATERBEAR_SHARED")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared")
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("the suites are not here: %v; set WATERBEAR_SHARED to the directory that conformance/ is in", err)
	}
	return dir
}

// TestComponentModel runs the official suites of the component model. Which cases
// are known to fail is said in known-failures.txt, with the reason for each; one
// that does not fail is a failure of its own.
func TestComponentModel(t *testing.T) {
	root := filepath.Join(sharedDirectory(t), "conformance", "component-model")
	var suites []string
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if strings.HasSuffix(path, ".json") {
			suites = append(suites, path)
		}
		return err
	})
	if err != nil || len(suites) == 0 {
		t.Fatalf("no suites in %s: %v", root, err)
	}
	known := knownFailures(t)
	for _, path := range suites {
		name, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			t.Fatal(err)
		}
		t.Run(name, func(t *testing.T) {
			failures := runScript(t, path)
			for _, f := range failures {
				key := fmt.Sprintf("%s:%d", name, f.line)
				if _, ok := known[key]; ok {
					delete(known, key)
					continue
				}
				t.Errorf("%s: %v", key, f.err)
			}
		})
	}
	for key, reason := range known {
		t.Errorf("%s is known to fail (%s), but it does not: take it out of known-failures.txt", key, reason)
	}
}

// knownFailures reads the list of cases that fail, by suite and line.
func knownFailures(t *testing.T) map[string]string {
	file, err := os.Open("known-failures.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	known := map[string]string{}
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, reason, _ := strings.Cut(line, " ")
		if strings.TrimSpace(reason) == "" {
			t.Fatalf("%s has no reason", key)
		}
		known[key] = reason
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return known
}

// failure is a command of a script that did not come out as it says.
type failure struct {
	line int
	err  error
}

// runner runs a script.
type runner struct {
	dir         string
	engine      *wasm.Engine
	definitions map[string]*binary.Component
	instances   map[string]*instance
	current     *instance
	opened      []func() error
}

// instance is a component instance of a script.
type instance struct {
	*component.Instance
	program *component.Program
}

// errLost stands for what cannot be done because something before it has failed.
var errLost = errors.New("what it is about is not there")

func runScript(t *testing.T, path string) []failure {
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var s script
	if err := json.Unmarshal(data, &s); err != nil {
		t.Fatal(err)
	}
	engine, err := wasm.New(context.Background(), wasm.Config{})
	if err != nil {
		t.Fatal(err)
	}
	r := &runner{
		dir: filepath.Dir(path), engine: engine,
		definitions: map[string]*binary.Component{}, instances: map[string]*instance{},
	}
	defer func() {
		slices.Reverse(r.opened)
		for _, closing := range append(r.opened, engine.Close) {
			if err := closing(); err != nil {
				t.Error(err)
			}
		}
	}()
	var failures []failure
	passed, lost := 0, 0
	for i := range s.Commands {
		c := &s.Commands[i]
		switch err := r.run(c); {
		case err == errLost:
			lost++
		case err != nil:
			failures = append(failures, failure{c.Line, fmt.Errorf("%s: %w", c.Type, err)})
		default:
			passed++
		}
	}
	t.Logf("%d commands passed, %d failed, and %d were about what had failed", passed, len(failures), lost)
	return failures
}

func (r *runner) run(c *command) error {
	switch c.Type {
	case "module_definition":
		d, err := r.decode(c.Filename)
		r.definitions[c.Name] = d
		return err
	case "module":
		d, err := r.decode(c.Filename)
		if r.definitions[c.Name] = d; err != nil {
			r.current, r.instances[c.Name] = nil, nil
			return err
		}
		return r.instantiate(d, c.Name)
	case "module_instance":
		d := r.definitions[c.Module]
		if d == nil {
			r.current, r.instances[c.Instance] = nil, nil
			return errLost
		}
		return r.instantiate(d, c.Instance)
	case "action", "assert_return":
		return r.assertReturn(c)
	case "assert_trap":
		return r.assertTrap(c)
	case "assert_invalid", "assert_malformed", "assert_unlinkable":
		d, err := r.decode(c.Filename)
		if err == nil {
			_, err = r.compile(d)
		}
		if err == nil {
			return fmt.Errorf("it is accepted, and should not be: %s", c.Text)
		}
		return nil
	}
	return fmt.Errorf("there is no command %s", c.Type)
}

func (r *runner) decode(file string) (*binary.Component, error) {
	source, err := os.ReadFile(filepath.Join(r.dir, file))
	if err != nil {
		return nil, err
	}
	return binary.Decode(source)
}

func (r *runner) compile(d *binary.Component) (*component.Program, error) {
	p, err := component.Compile(context.Background(), r.engine, d, nil, nil)
	if err != nil {
		return nil, err
	}
	r.opened = append(r.opened, p.Close)
	return p, nil
}

func (r *runner) instantiate(d *binary.Component, name string) error {
	r.current, r.instances[name] = nil, nil
	p, err := r.compile(d)
	if err != nil {
		return err
	}
	in, err := p.Instantiate(context.Background(), component.Config{})
	if err != nil {
		return err
	}
	r.opened = append(r.opened, in.Close)
	r.current = &instance{in, p}
	r.instances[name] = r.current
	return nil
}

// invoke runs an action and writes what it returned, and what it should have.
func (r *runner) invoke(a *action, expected []scriptValue) (got, want string, err error) {
	in := r.current
	if a.Module != "" {
		in = r.instances[a.Module]
	}
	if in == nil {
		return "", "", errLost
	}
	exports := in.program.Exports()
	at := slices.IndexFunc(exports, func(x component.Export) bool { return x.Name == a.Field })
	if at < 0 {
		return "", "", fmt.Errorf("there is no function %q", a.Field)
	}
	f := exports[at].Type
	if len(a.Args) != len(f.Params) {
		return "", "", fmt.Errorf("%s takes %d arguments, not %d", a.Field, len(f.Params), len(a.Args))
	}
	args := make([]wit.Value, len(a.Args))
	for i := range args {
		if args[i], err = a.Args[i].value(f.Params[i].Type); err != nil {
			return "", "", err
		}
	}
	if len(expected) > 0 {
		v, err := expected[0].value(f.Result)
		if err != nil {
			return "", "", err
		}
		want = wittest.Show(v)
	}
	result, err := in.Call(context.Background(), a.Field, args)
	if f.Result != nil && err == nil {
		got = wittest.Show(result)
	}
	return got, want, err
}

func (r *runner) assertReturn(c *command) error {
	got, want, err := r.invoke(c.Action, c.Expected)
	if err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("%s returned %s, want %s", c.Action.Field, got, want)
	}
	return nil
}

// assertTrap wants a trap of an action or, without one, of an instantiation.
func (r *runner) assertTrap(c *command) error {
	var err error
	if c.Action != nil {
		_, _, err = r.invoke(c.Action, nil)
	} else {
		d, wrong := r.decode(c.Filename)
		if wrong != nil {
			return wrong
		}
		err = r.instantiate(d, "")
	}
	if err == errLost {
		return err
	}
	var trap *wasm.Trap
	if !errors.As(err, &trap) {
		return fmt.Errorf("got %v, want a trap: %s", err, c.Text)
	}
	return nil
}
