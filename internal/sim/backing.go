package sim

import (
	"context"
	"math/rand/v2"

	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/storage/local"
	"github.com/waterbear-run/waterbear/internal/storage/memory"
	"github.com/waterbear-run/waterbear/internal/storage/storagetest"
	"github.com/waterbear-run/waterbear/internal/vfs"
)

// Backing keeps a World's store: Memory or Local.
type Backing interface {
	// begin prepares the disk for a process with this plan.
	begin(p *plan)
	// open opens the store, in a task.
	open(ctx context.Context) (storage.Store, error)
	// relieve takes the bound off a disk that is full.
	relieve()
	// crash is the end of a process that did not expect it, by power failure
	// or otherwise, end any other.
	crash(r *rand.Rand, powerOff bool)
	end()
}

// Memory keeps a store in memory: what is appended is durable.
func Memory() Backing { return &inMemory{store: memory.New()} }

type inMemory struct {
	store *memory.Store
	plan  *plan
}

func (m *inMemory) begin(p *plan)          { m.plan = p }
func (m *inMemory) crash(*rand.Rand, bool) { m.end() }
func (m *inMemory) relieve()               {}
func (m *inMemory) end()                   { m.store = m.store.Reopen() }

func (m *inMemory) open(context.Context) (storage.Store, error) {
	return storagetest.Faulty(m.store, m.plan.call), nil
}

// Local keeps a store in a directory of a disk in memory, which forgets what
// was not synced.
func Local(seed uint64) Backing { return &onDisk{disk: vfs.NewMemory(seed)} }

type onDisk struct {
	disk    *vfs.Memory
	plan    *plan
	process *process // nil before it opens the store
}

// spare is how much space a full disk has left at most, in pages.
const spare = 16

func (d *onDisk) begin(p *plan) {
	d.plan = p
	d.disk.SetFault(p.operation)
	d.disk.SetCapacity(0)
	if p.full {
		d.disk.SetCapacity(d.disk.Used() + 4096*p.machine.random.Int64N(spare))
	}
}

func (d *onDisk) open(ctx context.Context) (storage.Store, error) {
	d.process = &process{FS: d.disk, plan: d.plan}
	// Small files, so that a short run has several and an index.
	return local.Open(ctx, d.process, "state", local.Options{
		FileBytes: 64 << 10, AllocateBytes: 16 << 10, FlushWeight: 16, FlushBytes: 16 << 10,
	})
}

func (d *onDisk) relieve() { d.disk.SetCapacity(0) }

// crash is either the end of the process alone, and the disk still has to
// write what was not synced, or of the machine: then it never will, but for
// what it has written already, as it happens.
func (d *onDisk) crash(r *rand.Rand, powerOff bool) {
	d.end()
	if !powerOff && r.IntN(3) == 0 {
		return
	}
	kept := []float64{0, r.Float64(), 1}[r.IntN(3)]
	d.disk = d.disk.Crash(func() bool { return r.Float64() < kept })
}

func (d *onDisk) end() {
	d.disk.SetFault(nil)
	if d.process != nil {
		d.process.end()
		d.process = nil
	}
}
