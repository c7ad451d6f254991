// Package wasip2 is the host of components: the interfaces of WASI 0.2 by their
// WIT, over a worker's private file system, clocks, randomness and standard
// streams, the same that WASI 0.1 programs have. Where the WIT is silent it does
// what POSIX does and what other hosts do. It hides what stands for a resource:
// plain data in one numbered table, so that an image can keep it and a worker
// that was restored goes on with the same handles.
//
// What a program can see is a pure function of the system's state and of what
// Clocks and Stdio answer, which their implementation records. Sizes, counts,
// paths and texts are the program's and may be anything: the answer is an error
// of the WIT, or a trap, and the host never allocates more than a named bound.
package wasip2

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/waterbear-run/waterbear/internal/component"
	"github.com/waterbear-run/waterbear/internal/host/blobstore"
	"github.com/waterbear-run/waterbear/internal/host/config"
	"github.com/waterbear-run/waterbear/internal/host/filesystem"
	"github.com/waterbear-run/waterbear/internal/host/keyvalue"
	"github.com/waterbear-run/waterbear/internal/host/socket"
	"github.com/waterbear-run/waterbear/internal/host/wasi"
	"github.com/waterbear-run/waterbear/internal/wasm"
	"github.com/waterbear-run/waterbear/wit"
)

// version of the WIT.
const version = "0.2.12"

// System is a program's view of the world: its resources and what they lead to.
// It belongs to the task that runs the program.
type System struct {
	fs         *filesystem.FS
	clocks     wasi.Clocks
	random     wasi.Random
	stdio      wasi.Stdio
	events     wasi.Events
	http       wasi.HTTP      // nil: requests are refused
	config     *config.Values // nil: there are none
	buckets    *keyvalue.Buckets
	containers *blobstore.Containers
	net        *socket.Sockets // nil: sockets are refused

	args, env, initial wit.Value // as the program gets them
	terminal           [3]bool

	preopens  []wasi.Preopen
	resources wasi.Table[entry]
	sent      map[uint32]uint32 // what was sent, by the owner
	serving   *serving          // nil: the program answers no request
	held      int               // bytes that resources hold, of maxHeld
	files     int               // open descriptors, of maxFiles
	maxFiles  int

	openSockets int     // of maxSockets
	found       []found // addresses that the program has looked up, of maxFound
}

// Holder is what an instance's State must be for this package's functions.
type Holder interface {
	WASIP2() *System
}

// WASIP2 makes a System a Holder, for instances that need no other state.
func (s *System) WASIP2() *System { return s }

// New makes the system of a program that has not started.
func New(c wasi.Config) (*System, error) {
	s := &System{fs: c.FS, clocks: c.Clocks, random: c.Random, stdio: c.Stdio, events: c.Events, http: c.HTTP, net: c.Sockets, config: c.Values, buckets: c.Buckets, containers: c.Containers, sent: map[uint32]uint32{}, terminal: c.Terminal, maxFiles: c.MaxFiles}
	if s.buckets == nil {
		s.buckets = &keyvalue.Buckets{}
	}
	if s.containers == nil {
		s.containers = &blobstore.Containers{}
	}
	if s.maxFiles == 0 {
		s.maxFiles = wasi.DefaultMaxFiles
	}
	if err := s.surround(c); err != nil {
		return nil, err
	}
	if c.Open != nil {
		if err := s.reopen(c.Open); err != nil {
			return nil, fmt.Errorf("open the resources of an image: %w", err)
		}
		return s, nil
	}
	for _, p := range c.Preopens {
		if err := s.preopen(p); err != nil {
			return nil, fmt.Errorf("open directory %q for the program: %w", p.Name, err)
		}
	}
	return s, nil
}

// surround sets what the program is told of its surroundings.
func (s *System) surround(c wasi.Config) error {
	if err := checkTexts(c.Args); err != nil {
		return fmt.Errorf("arguments: %w", err)
	}
	if err := checkTexts(c.Env); err != nil {
		return fmt.Errorf("environment: %w", err)
	}
	if err := checkTexts([]string{c.Directory}); err != nil {
		return fmt.Errorf("initial directory: %w", err)
	}
	args, env := make([]wit.Value, len(c.Args)), make([]wit.Value, len(c.Env))
	for i, a := range c.Args {
		args[i] = a
	}
	for i, e := range c.Env {
		name, value, _ := strings.Cut(e, "=")
		env[i] = []wit.Value{name, value}
	}
	s.args, s.env, s.initial = args, env, none
	if c.Directory != "" {
		s.initial = some(c.Directory)
	}
	return nil
}

// checkTexts refuses what no program can be given.
func checkTexts(list []string) error {
	size := 0
	for _, t := range list {
		if size += len(t) + 1; size > wasi.MaxVector {
			return fmt.Errorf("they have more than %d bytes", wasi.MaxVector)
		}
		if !utf8.ValidString(t) || strings.IndexByte(t, 0) >= 0 {
			return fmt.Errorf("%q is not UTF-8, or has a zero byte", t)
		}
	}
	return nil
}

func (s *System) preopen(p wasi.Preopen) error {
	if !utf8.ValidString(p.Name) || strings.IndexByte(p.Name, 0) >= 0 || len(p.Name) > filesystem.MaxPath {
		return filesystem.ErrInvalid
	}
	if len(s.preopens) == maxPreopens {
		return fmt.Errorf("there are more than %d", maxPreopens)
	}
	stat, err := s.fs.Stat(p.Dir)
	if err != nil {
		return err
	}
	if stat.Kind != filesystem.Directory {
		return filesystem.ErrNotDirectory
	}
	s.preopens = append(s.preopens, p)
	return s.fs.Retain(p.Dir)
}

// maxPreopens bounds the directories that a program is given.
const maxPreopens = 1 << 10

// Interfaces are all that a component can import. They find their System
// through the State of the instance that calls them, which must be a Holder.
func Interfaces() []*component.HostInterface {
	var list []*component.HostInterface
	for _, i := range interfaces() {
		host := &component.HostInterface{Name: i.name, Version: cmp.Or(i.version, version)}
		for _, r := range i.resources {
			host.Resources = append(host.Resources, component.HostResource{
				Type: r,
				Drop: func(c *component.Call, rep uint32) error { return system(c).drop(rep) },
			})
		}
		for _, f := range i.functions {
			call := f.call
			host.Funcs = append(host.Funcs, component.HostFunc{
				Name: f.name, Type: f.typ, Aliased: f.aliased,
				Call: func(c *component.Call, args []wit.Value) (wit.Value, error) { return call(system(c), args) },
			})
		}
		list = append(list, host)
	}
	return list
}

func system(c *component.Call) *System { return c.State().(Holder).WASIP2() }

// interfaceOf is an interface of the WIT.
type interfaceOf struct {
	name      string
	version   string // "" for that of WASI 0.2; else that of a draft
	resources []*wit.Resource
	functions []function
}

// function is one function of an interface.
type function struct {
	name string
	typ  *wit.Func
	call call
	// aliased: the program's memory may be given in place of a copy.
	aliased bool
}

// call performs a function. Its arguments and its result are of the types that
// are declared, nil without one; errors are those of component.HostFunc.
type call func(s *System, a []wit.Value) (wit.Value, error)

func interfaces() []interfaceOf {
	return slices.Concat(keyvalue1.interfaces(), keyvalue2.interfaces(), []interfaceOf{
		ioError(), ioPoll(), ioStreams(),
		monotonicClock(), wallClock(), timezone(),
		randomRandom(), randomInsecure(), randomInsecureSeed(),
		cliEnvironment(), cliExit(), cliStdin(), cliStdout(), cliStderr(),
		cliTerminalInput(), cliTerminalOutput(), cliTerminalStdin(), cliTerminalStdout(), cliTerminalStderr(),
		filesystemTypes(), filesystemPreopens(),
		socketsNetwork(), socketsInstanceNetwork(), socketsTCP(), socketsTCPCreate(), socketsUDP(), socketsUDPCreate(), socketsLookup(),
		httpTypes(), httpOutgoing(),
		configStore("0.2.0-rc.1"), configStore("0.2.0-draft"), configRuntime(), logging(),
		blobstoreBlobstore(), blobstoreContainer(), blobstoreTypes(),
	})
}

// trap is a violation of the WIT by the program.
func trap(format string, args ...any) error {
	return &wasm.Trap{Reason: fmt.Sprintf(format, args...)}
}
