package worker

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/catalog"
	"github.com/waterbear-run/waterbear/internal/durable"
	"github.com/waterbear-run/waterbear/internal/host/ambient"
	"github.com/waterbear-run/waterbear/internal/host/await"
	"github.com/waterbear-run/waterbear/internal/host/config"
	"github.com/waterbear-run/waterbear/internal/host/exchange"
	"github.com/waterbear-run/waterbear/internal/host/filesystem"
	"github.com/waterbear-run/waterbear/internal/host/inbound"
	"github.com/waterbear-run/waterbear/internal/host/platform"
	"github.com/waterbear-run/waterbear/internal/host/promise"
	"github.com/waterbear-run/waterbear/internal/host/socket"
	"github.com/waterbear-run/waterbear/internal/host/wasi"
	"github.com/waterbear-run/waterbear/internal/host/wasip1"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/wasm"
	"github.com/waterbear-run/waterbear/wit"
)

// maxStderr is how much of the end of an attempt's stderr a failure shows.
const maxStderr = 4 << 10

// body is a worker's instance and all that surrounds it, while it is in memory.
// It is for one task at a time, but for stop.
type body struct {
	rt      *Runtime
	program *catalog.Program
	create  *oplog.Create
	session *durable.Session
	stop    context.CancelCauseFunc
	meter   *meter
	park    func(d time.Duration, sleep func() error) error
	linger  func(d time.Duration, sleep func() error) error

	clocks *ambient.Clocks
	random *ambient.Random
	stdio  *ambient.Stdio
	stderr tail
	files  *filesystem.FS
	events *await.Waiter
	http   *exchange.Exchanges
	net    *socket.Sockets
	self   identity
	own    platform.System
	lineage
	system system
	// serving is the request that is answered now, if one is.
	serving *inbound.Serving

	promises *promise.Promises

	packs   *ownPacks
	guest   *guest // nil for a command between two invocations
	spare   *guest // at rest, for the next one
	shells  *shells
	origins *origins
	owns    *saved // what goes with it
	// original tells that the instance of a component began as its program's origin.
	original bool
	calls    uint64 // the session's when the attempt began
	// suspensions counts the times that the worker has left memory, as far as its
	// oplog was replayed.
	suspensions uint64
	// ephemeral tells that the instance is for one invocation.
	ephemeral bool
}

// bodyConfig is what a body is made of.
type bodyConfig struct {
	program *catalog.Program
	create  *oplog.Create
	meter   *meter
	session durable.Config
	// park is handed each wait, linger each that is to stay in memory.
	park, linger func(d time.Duration, sleep func() error) error
	// control is for the program's questions about itself.
	control platform.Control
	// policy says what the worker's HTTP requests may do.
	policy func() exchange.Policy
	// owner is whose promises the program's are, and others those that it can
	// settle; nil if it has none, and can settle none.
	owner  promise.Owner
	others promise.Others
	// long waits for promises that the program has; nil as owner is.
	long func(ctx context.Context, promises []string, d time.Duration) error
	// sockets says what its sockets may do.
	sockets func() socket.Policy
	// fresh is mixed into the seed of ephemeral workers: no two of their
	// instances are to draw the same numbers.
	fresh oplog.Index
	// saved, if set, is where the worker's state comes from.
	saved *saved
	forks []oplog.ForkedAt // what replay comes to that made the worker a copy
	// shells are where instances come from and go to, origins what they begin with.
	shells  *shells
	origins *origins
}

// newBody makes a worker's surroundings; the instance is made when the first
// function is called.
func (rt *Runtime) newBody(ctx context.Context, c bodyConfig) (*body, error) {
	b := &body{rt: rt, program: c.program, create: c.create, park: c.park, linger: c.linger, meter: c.meter, shells: c.shells, origins: c.origins, ephemeral: c.fresh != 0}
	files := ctx
	ctx, b.stop = context.WithCancelCause(ctx)
	c.session.Charge = b.meter.charge
	b.session = durable.NewSession(ctx, c.session)
	b.stdio = ambient.NewStdio(b.session, noInput{})
	b.clocks = ambient.NewClocks(b.session, rt.Sched, b.stdio.Input(), uint64(c.create.At))
	b.clocks.Park = b.waits
	seed := c.create.Seed
	if c.fresh != 0 {
		seed = sha256.Sum256(binary.LittleEndian.AppendUint64(seed[:], c.fresh))
	}
	b.events = await.New(await.Config{Session: b.session, Sched: rt.Sched, Clock: b.clocks, Input: b.stdio.Input(), Park: b.waitsForEvents, Nap: b.waits, Long: c.long})
	b.http = exchange.New(exchange.Config{
		Session: b.session, Sched: rt.Sched, Events: b.events, Client: rt.HTTP, Policy: c.policy, Pace: b.meter.pace,
	})
	b.net = socket.New(socket.Config{Session: b.session, Sched: rt.Sched, Events: b.events, Network: rt.Sockets, Policy: c.sockets})
	b.self, b.lineage = identity{create: c.create}, lineage{c.forks, person{c.session.Worker, seed}}
	b.promises = promise.New(promise.Config{
		Session: b.session, Events: b.events, Owner: c.owner, Others: c.others,
	})
	values := &config.Values{Session: b.session, Sources: rt.Config, Component: b.session.Worker.Component}
	b.own = platform.System{Session: b.session, Context: &b.self, Control: c.control, Config: values, Promises: b.promises, Clock: b.clocks}
	b.become(b.first())
	// Not the session's context: whoever looks at the files goes on to do so
	// when the instance is gone.
	b.packs = newOwnPacks(files, rt.Store.Blobs(), seed)
	if c.saved != nil {
		b.random = ambient.NewRandom(b.self.seed, c.saved.head.Random)
		return b, b.restore(c.saved)
	}
	b.random = ambient.NewRandom(b.self.seed, 0)
	return b, b.openFiles(ctx)
}

// openFiles makes the worker's file system as it was when it was created.
func (b *body) openFiles(ctx context.Context) (err error) {
	config := b.filesConfig()
	if b.create.Initial == (storage.Hash{}) {
		b.files = filesystem.New(config)
	} else {
		manifest, err := readBlob(ctx, b.rt.Store.Blobs(), b.create.Initial)
		if err != nil {
			return fmt.Errorf("read the initial files: %w", err)
		}
		if b.files, err = filesystem.Decode(manifest, config); err != nil {
			return fmt.Errorf("read the initial files: %w", err)
		}
	}
	_, err = b.files.MkdirAll(filesystem.Root, "/tmp")
	return err
}

func (b *body) filesConfig() filesystem.Config {
	return filesystem.Config{Now: b.clocks.Stamp, Packs: b.packs, Limits: filesystem.Limits{Bytes: b.create.Storage}}
}

// openSystem makes what the guest sees of WASI. What an instance before had
// open is closed, or descriptors are those of an image.
func (b *body) openSystem(args []string, open []byte) (err error) {
	if err := b.system.close(); err != nil {
		return err
	}
	c := wasi.Config{
		Values: b.own.Config, Buckets: b.buckets(), Containers: b.containers(),
		Args: append(append([]string{b.program.Revision.Component}, b.create.Args...), args...), Env: b.create.Env,
		FS: b.files, Preopens: preopens(), Open: open,
		Clocks: b.clocks, Random: b.random, Stdio: b, MaxFiles: int(b.create.Files),
	}
	c.Events = b.events
	if b.rt.HTTP != nil {
		c.HTTP = b.http
	}
	if b.rt.Sockets != nil {
		c.Sockets = b.net
	}
	b.system, err = newSystem(b.program.Component() != nil, c)
	return err
}

// newModule makes an instance of a core module, or takes one. Nothing of it runs.
func (b *body) newModule() error {
	if b.guest = b.again(); b.guest != nil {
		return nil
	}
	in, err := b.program.Module().Instantiate(b.session.Context(), b.moduleConfig())
	if err != nil {
		return err
	}
	b.guest = &guest{module: in}
	return nil
}

// newBlank makes an instance in which nothing of the program has run, or takes one.
func (b *body) newBlank() error {
	if b.program.Component() != nil {
		return b.blankComponent()
	}
	return b.newModule()
}

// again gives an instance that was used before as one in which nothing of the
// program has run, or nil if there is none.
func (b *body) again() *guest {
	if spare := b.spare; spare != nil {
		b.spare = nil
		if b.renew(spare) == nil {
			return spare
		}
		_ = spare.close() // refused only during a call
	}
	taken := b.shells.take(b.program)
	if taken == nil {
		return nil
	}
	if b.renew(taken) == nil {
		return taken
	}
	_ = taken.close() // it was made for other limits
	return nil
}

// renew gives an instance at rest to this worker.
func (b *body) renew(g *guest) error {
	if g.module != nil {
		return g.module.Recycle(b.moduleConfig())
	}
	return g.component.Reset(b.componentConfig())
}

func (b *body) moduleConfig() wasm.InstanceConfig {
	return wasm.InstanceConfig{Hosts: b.rt.Hosts, State: b, MaxMemory: b.create.Memory, OnYield: b.yield}
}

// WASIP1 gives the host functions of WASI 0.1 their state.
func (b *body) WASIP1() *wasip1.System { return b.system.preview1 }

// Platform gives the host's own functions their state.
func (b *body) Platform() *platform.System { return &b.own }

// Read implements wasi.Stdio.
func (b *body) Read(limit int) ([]byte, error) { return b.stdio.Read(limit) }

// Write implements wasi.Stdio.
func (b *body) Write(stream int, p []byte) error {
	if oplog.Stream(stream) == oplog.Stderr {
		b.stderr.add(p)
	}
	return b.stdio.Write(stream, p)
}

// waits is where the guest waits.
func (b *body) waits(d time.Duration, sleep func() error) error {
	b.session.Ask()
	b.meter.pause()
	defer b.meter.proceed()
	if d < maxLinger && (b.http.UnderWay() || b.net.UnderWay() || b.answering()) {
		return b.linger(d, sleep) // or requests would be in doubt, connections lost, or somebody wait for more
	}
	return b.park(d, sleep)
}

// maxLinger is the wait for which a worker leaves memory in spite of requests
// under way and sockets.
const maxLinger = 10 * time.Minute

// waitsForEvents is where the guest waits for what comes from outside.
func (b *body) waitsForEvents(wait func() error) error {
	b.session.Ask()
	b.meter.pause()
	defer b.meter.proceed()
	return b.linger(0, wait)
}

// begin origins the measuring of an attempt.
func (b *body) begin() {
	b.session.Enter()
	b.calls = b.session.Calls()
	b.stderr.reset()
	b.meter.begin()
}

// observed reports whether the attempt saw anything that might be different
// the next time.
func (b *body) observed() bool { return b.session.Calls() > b.calls }

// initialize makes the instance of a library and runs what that does once in its
// life.
func (b *body) initialize() error {
	b.discard()
	if b.program.Component() != nil {
		if err := b.openSystem(nil, nil); err != nil {
			return err
		}
		return b.newComponent()
	}
	if s := b.origin(); s != nil && b.openSystem(nil, s.open) == nil && b.newModule() == nil && s.restore(b.guest) == nil {
		return nil
	}
	b.discard()
	if err := b.openSystem(nil, nil); err != nil {
		return err
	}
	if err := b.newModule(); err != nil {
		return err
	}
	return initialize(b.session.Context(), b.guest.module, b.program.Module())
}

// origin is what the program is after its initialization, if that is known, the
// same for every worker, and this one may be so.
func (b *body) origin() *origin {
	if b.origins == nil {
		return nil
	}
	s := b.origins.of(b.session.Context(), b.rt, codeOf(b.program))
	if s == nil || s.size > b.create.Memory {
		return nil
	}
	return s
}

// call runs a function to its end and gives its results, a JSON array.
func (b *body) call(function string, args json.RawMessage) (json.RawMessage, error) {
	switch {
	case b.program.Revision.Kind == api.Command:
		return b.runCommand(args)
	case b.program.Component() != nil:
		return b.callComponent(function, args)
	}
	f, ok := b.program.Function(function)
	if !ok {
		return nil, fmt.Errorf("%s revision %d exports no function %q", b.program.Revision.Component, b.program.Revision.Number, function)
	}
	stack, err := wit.LowerCore(f.Params, args, nil)
	if err != nil {
		return nil, err
	}
	if n := len(f.Results) - len(stack); n > 0 {
		stack = append(stack, make([]uint64, n)...)
	}
	if err := b.guest.module.Call(b.session.Context(), function, stack); err != nil {
		return nil, err
	}
	return wit.LiftCore(f.Results, stack)
}

// runCommand starts the program over the worker's files and gives its exit
// code.
func (b *body) runCommand(args json.RawMessage) (json.RawMessage, error) {
	argv, err := wit.Strings(args)
	if err != nil {
		return nil, err
	}
	b.discard()
	if err := b.openSystem(argv, nil); err != nil {
		return nil, err
	}
	code, err := b.run(b.session.Context())
	if err != nil {
		return nil, err
	}
	b.discard()
	return fmt.Appendf(nil, "[%d]", code), nil
}

// run makes an instance of a command, runs it and gives its exit code.
func (b *body) run(ctx context.Context) (code uint32, err error) {
	if b.program.Component() == nil {
		if err := b.newModule(); err != nil {
			return 0, err
		}
		return runModule(ctx, b.guest.module)
	}
	if err := b.newComponent(); err != nil {
		return exitCode(err)
	}
	return runComponent(ctx, b.guest.component, b.program.RunExport())
}

// memory is how many bytes of linear memory the instance has.
func (b *body) memory() (bytes uint64) {
	if b.guest == nil {
		return 0
	}
	for _, core := range b.guest.cores() {
		bytes += uint64(len(core.Memory()))
	}
	return bytes
}

// unimageable says why the state of the body at rest cannot be saved. Where there
// is no instance it is no more than files.
func (b *body) unimageable() []string {
	if b.guest == nil {
		return nil
	}
	return b.guest.unimageable()
}

// discard makes the instance a spare one, if it can be one, and gives its
// memory back.
func (b *body) discard() {
	if b.guest == nil {
		return
	}
	g := b.guest
	b.guest = nil
	if b.spare == nil && b.rest(g) == nil {
		b.spare = g
		return
	}
	_ = g.close() // refused only during a call, which is over
}

// errNoUse is why an instance is not kept.
var errNoUse = errors.New("it is of no use to any other worker")

// rest takes an instance from this worker and what it has done from the instance.
// It fails for one that cannot be used again.
func (b *body) rest(g *guest) error {
	switch {
	case g.module != nil:
		return g.module.Recycle(wasm.InstanceConfig{Hosts: b.rt.Hosts, MaxMemory: b.create.Memory})
	case (b.program.Revision.Kind == api.Command || b.ephemeral) && !b.original:
		return errNoUse // each of their instances begins anew, and would have to run for that
	}
	return g.restComponent(b.program.Cores(), b.create.Memory)
}

// abandon frees a body that could not be made whole, all but its program.
func (b *body) abandon(why error) {
	b.stop(why)
	b.http.Close()
	b.net.CloseAll()
	b.discard()
	if b.spare != nil {
		_ = b.spare.close()
		b.spare = nil
	}
}

// close frees everything. No call may be under way.
func (b *body) close() {
	b.stop(errDropped)
	b.http.Close()
	b.net.CloseAll()
	b.owns.close()
	b.discard()
	if b.spare == nil {
		_ = b.program.Release()
		return
	}
	b.shells.put(newShell(b.spare, b.program))
	b.spare = nil
}

var errDropped = errors.New("the instance was dropped")

// noInput is the standard input of workers: it is at its end.
type noInput struct{}

func (noInput) Ready(context.Context) (int, bool, error) { return 0, true, nil }

func (noInput) Read(context.Context, int) ([]byte, error) { return nil, nil }

func (noInput) Skip(context.Context, uint64, [sha256.Size]byte) error { return nil }

// tail is the end of some output.
type tail struct{ b []byte }

func (t *tail) reset() { t.b = t.b[:0] }

func (t *tail) add(p []byte) {
	t.b = append(t.b, p[max(0, len(p)-maxStderr):]...)
	if over := len(t.b) - maxStderr; over > 0 {
		t.b = append(t.b[:0], t.b[over:]...)
	}
}

func (t *tail) String() string { return string(bytes.ToValidUTF8(t.b, []byte("�"))) }
