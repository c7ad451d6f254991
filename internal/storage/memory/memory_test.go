package memory_test

import (
	"testing"

	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/storage/memory"
	"github.com/waterbear-run/waterbear/internal/storage/storagetest"
)

func subject() storagetest.Subject {
	reopen := func(t testing.TB, s storage.Store) storage.Store {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		return s.(*memory.Store).Reopen()
	}
	return storagetest.Subject{
		Open:   func(testing.TB) storage.Store { return memory.New() },
		Reopen: reopen,
		Crash:  reopen, // a store in memory has no other way to go
	}
}

func TestMemoryKeepsTheContract(t *testing.T) { storagetest.Run(t, subject()) }

func TestMemoryKeepsTheContractUnderFaults(t *testing.T) {
	storagetest.Run(t, subject().Faulty(storagetest.Before, storagetest.None, storagetest.After, storagetest.None, storagetest.None))
}
