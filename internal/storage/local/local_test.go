package local_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/storage/local"
	"github.com/waterbear-run/waterbear/internal/storage/storagetest"
	"github.com/waterbear-run/waterbear/internal/vfs"
)

var ctx = context.Background()

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// small makes everything happen soon: files end, indexes are written.
var small = local.Options{FileBytes: 8 << 10, AllocateBytes: 4 << 10, FlushWeight: 4, FlushBytes: 4 << 10}

func open(t testing.TB, disk vfs.FS, dir string, o local.Options) *local.Store {
	t.Helper()
	s, err := local.Open(ctx, disk, dir, o)
	must(t, err)
	return s
}

// place is a store and where it is, so that it can be opened again.
type place struct {
	*local.Store
	disk    vfs.FS
	dir     string
	options local.Options
	random  *rand.Rand // the same for each store, so that what fails can be repeated
}

func (p place) open(t testing.TB) storage.Store {
	t.Helper()
	p.Store = open(t, p.disk, p.dir, p.options)
	return p
}

func subject(o local.Options, disk func(t testing.TB) (vfs.FS, string)) storagetest.Subject {
	return storagetest.Subject{
		Open: func(t testing.TB) storage.Store {
			d, dir := disk(t)
			return place{disk: d, dir: dir, options: o, random: rand.New(rand.NewPCG(1, 2))}.open(t)
		},
		Reopen: func(t testing.TB, s storage.Store) storage.Store {
			must(t, s.Close())
			return s.(place).open(t)
		},
	}
}

func inMemory(testing.TB) (vfs.FS, string) { return vfs.NewMemory(1), "store" }

// crashable is the subject on a disk that loses power.
func crashable(o local.Options) storagetest.Subject {
	s := subject(o, inMemory)
	s.Crash = func(t testing.TB, s storage.Store) storage.Store {
		p := s.(place)
		left := p.disk.(*vfs.Memory).Crash(func() bool { return p.random.IntN(2) == 0 })
		must(t, p.Close())
		p.disk = left
		return p.open(t)
	}
	s.Damage = func(t testing.TB, s storage.Store, value []byte) {
		p := s.(place)
		disk, dir := p.disk.(*vfs.Memory), p.dir+"/log"
		names, err := disk.List(dir)
		must(t, err)
		for _, name := range names {
			name = dir + "/" + name
			f, err := disk.Open(name)
			must(t, err)
			size, err := disk.Stat(name)
			must(t, err)
			content := make([]byte, size)
			_, err = f.ReadAt(content, 0)
			must(t, errors.Join(err, f.Close()))
			if at := bytes.Index(content, value); at >= 0 {
				disk.Flip(name, int64(at), 4)
			}
		}
	}
	return s
}

// loseIndex removes now and then the index of a closed store.
func loseIndex(s storagetest.Subject) storagetest.Subject {
	s.Reopen = func(t testing.TB, store storage.Store) storage.Store {
		p := store.(place)
		must(t, p.Close())
		if p.random.IntN(2) == 0 {
			removeIndex(t, p.disk, p.dir)
		}
		return p.open(t)
	}
	return s
}

func removeIndex(t testing.TB, disk vfs.FS, dir string) {
	t.Helper()
	names, err := disk.List(dir + "/index")
	must(t, err)
	for _, name := range names {
		must(t, disk.Remove(dir+"/index/"+name))
	}
}

func TestLocalKeepsTheContractOnTheMachinesDisk(t *testing.T) {
	s := subject(local.Options{}, func(t testing.TB) (vfs.FS, string) { return vfs.OS(), t.TempDir() })
	s.Slow = true // Waiting for the disk; the model runs on one in memory.
	storagetest.Run(t, s)
}

func TestLocalKeepsTheContractWhenThePowerFails(t *testing.T) {
	storagetest.Run(t, crashable(local.Options{}))
}

func TestLocalKeepsTheContractWithSmallFiles(t *testing.T) {
	storagetest.Run(t, crashable(small))
}

func TestLocalKeepsTheContractWhenItsIndexIsLost(t *testing.T) {
	storagetest.Run(t, loseIndex(crashable(small)))
}

func TestLocalKeepsTheContractUnderFaults(t *testing.T) {
	storagetest.Run(t, crashable(small).Faulty(storagetest.Before, storagetest.None, storagetest.After, storagetest.None, storagetest.None))
}
