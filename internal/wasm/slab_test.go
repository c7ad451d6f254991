package wasm

import (
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

func newSlab(t *testing.T) *slab {
	t.Helper()
	dir := t.TempDir()
	b := openSlab(func() (stateDisk, error) { return newStateFile(dir) })
	t.Cleanup(func() {
		if err := b.close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func taken(t *testing.T, b *slab, n int) []uint32 {
	t.Helper()
	slots := make([]uint32, n)
	for i := range slots {
		slot, ok := b.take()
		if !ok {
			t.Fatalf("there is no slot after %d", i)
		}
		slots[i] = slot
	}
	return slots
}

func pageOf(n uint32) []byte { return bytes.Repeat([]byte{byte(n), byte(n >> 8), 1, 2}, PageSize/4) }

func TestSlotsKeepWhatIsWritten(t *testing.T) {
	b := newSlab(t)
	slots := taken(t, b, 20)
	for i, slot := range slots {
		if uint32(i) != slot {
			t.Fatalf("slots %v are no neighbours", slots)
		}
		if err := b.write(slot, pageOf(slot)); err != nil {
			t.Fatal(err)
		}
	}
	pages := make([][]byte, 9)
	for i := range pages {
		pages[i] = make([]byte, PageSize)
	}
	if err := b.read(5, pages...); err != nil {
		t.Fatal(err)
	}
	for i, p := range pages {
		if !bytes.Equal(p, pageOf(uint32(5+i))) {
			t.Errorf("slot %d has something else", 5+i)
		}
	}
	// What was never written to is an error, and so is the end of the file.
	if err := b.read(15, pages...); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v", err)
	}
	// They are used again, and no two at the same time have one.
	slices.Reverse(slots)
	b.give(slots[5:]...)
	again := taken(t, b, 17)
	if all := slices.Concat(again, slots[:5]); len(slices.Compact(slices.Sorted(slices.Values(all)))) != 22 || b.next != 22 {
		t.Errorf("slots %v", all)
	}
}

func TestSpaceOfFreeSlotsGoesBackToTheDisk(t *testing.T) {
	b := newSlab(t)
	file, ok := b.file.(*os.File)
	if !ok {
		t.Fatalf("a %T", b.file)
	}
	blocks := func() int64 {
		var is unix.Stat_t
		if err := unix.Fstat(int(file.Fd()), &is); err != nil {
			t.Fatal(err)
		}
		return is.Blocks * 512
	}
	slots := taken(t, b, 2*punchedSlots)
	for _, slot := range slots {
		if err := b.write(slot, pageOf(slot)); err != nil {
			t.Fatal(err)
		}
	}
	const all = 2 * punchedSlots * PageSize
	if got := blocks(); got < all {
		t.Errorf("%d bytes are used for %d", got, all)
	}
	var even []uint32
	for _, slot := range slots {
		if slot%2 == 0 || slot < 100 {
			even = append(even, slot)
		}
	}
	b.give(even[:10]...)
	if got := blocks(); got < all {
		t.Errorf("%d bytes are left when ten slots are free", got)
	}
	b.give(even[10:]...)
	if got := blocks(); got > all*5/8 {
		t.Errorf("%d bytes of %d are left when half is free", got, all)
	}
	p := make([]byte, PageSize)
	for _, slot := range slots[101:] {
		if slot%2 == 0 {
			continue
		}
		if err := b.read(slot, p); err != nil || !bytes.Equal(p, pageOf(slot)) {
			t.Fatalf("slot %d has lost what it had, %v", slot, err)
		}
	}
	again := taken(t, b, len(even))
	slices.Sort(again)
	slices.Sort(even)
	if !slices.Equal(again, even) {
		t.Errorf("%d slots are not those that were free", len(again))
	}
}

func TestASlabHasAnEnd(t *testing.T) {
	b := newSlab(t)
	b.next = maxSlots - 1
	slot := taken(t, b, 1)[0]
	if err := b.write(slot, pageOf(slot)); err != nil {
		t.Fatal(err)
	}
	if _, ok := b.take(); ok {
		t.Error("there is a slot beyond the last")
	}
	b.give(slot)
	if again := taken(t, b, 1)[0]; again != slot {
		t.Errorf("got slot %d, want %d", again, slot)
	}
	none := openSlab(func() (stateDisk, error) { return nil, unix.ENOSPC })
	if _, ok := none.take(); ok {
		t.Error("there is a slot without a file")
	}
	if err := none.close(); err != nil {
		t.Error(err)
	}
}
