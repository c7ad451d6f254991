package oplog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"github.com/waterbear-run/waterbear/internal/storage"
)

// TestEveryFlippedBitIsReported damages each byte of a chunk between two whole
// ones.
func TestEveryFlippedBitIsReported(t *testing.T) {
	logs := newHooked()
	last := write(t, logs, 2, 4, 2)
	var size int
	damage := func(at int, x byte) {
		logs.mangle = func(c storage.Chunk, yield func(storage.Chunk, error) bool) bool {
			if c.First == 3 {
				size = len(c.Bytes)
				c.Bytes = bytes.Clone(c.Bytes)
				c.Bytes[at] ^= x
			}
			return yield(c, nil)
		}
	}
	alone := 0
	for at := 0; at == 0 || at < size; at++ {
		for bit := range 8 {
			damage(at, 1<<bit)
			got := readAll(t, logs, 1, 0)
			if len(got.damaged) == 0 || len(got.whole)+len(got.damaged) != int(last) {
				t.Fatalf("bit %d of byte %d: whole are %v, damaged %v: %v", bit, at, got.whole, got.damaged, got.errs)
			}
			if len(got.damaged) == 1 {
				alone++
			}
			if got.damaged[0] < 3 || got.damaged[len(got.damaged)-1] > 6 {
				t.Fatalf("bit %d of byte %d damages entries %v of other chunks", bit, at, got.damaged)
			}
			whole, err := replayAll(t, logs, 1, last)
			var corrupt *storage.CorruptError
			if !errors.As(err, &corrupt) || corrupt.Worker != alice || corrupt.From != got.damaged[0] || len(whole) != int(corrupt.From)-1 {
				t.Fatalf("bit %d of byte %d: a cursor gives %v and then %v", bit, at, whole, err)
			}
		}
	}
	if most := 8 * (size - chunkHeader); alone < most*8/10 {
		t.Errorf("%d of %d flipped bits behind the header harm one entry only, want most", alone, most)
	}
}

func TestAnythingMissingOrMisplacedIsReported(t *testing.T) {
	logs := newHooked()
	last := write(t, logs, 2, 3, 3, 2)
	var chunks []storage.Chunk
	for c, err := range logs.Logs.Read(t.Context(), alice, 1, 0) {
		if err != nil {
			t.Fatal(err)
		}
		c.Bytes = bytes.Clone(c.Bytes)
		chunks = append(chunks, c)
	}
	longer := chunks[1]
	longer.Bytes = append(bytes.Clone(longer.Bytes), 0)
	tests := map[string]struct {
		change  func(c storage.Chunk) []storage.Chunk
		damaged []Index
	}{
		"a chunk is missing": {func(c storage.Chunk) []storage.Chunk {
			if c.First == 3 {
				return nil
			}
			return []storage.Chunk{c}
		}, indexes(3, 5)},
		"the first two chunks are missing": {func(c storage.Chunk) []storage.Chunk {
			if c.First <= 3 {
				return nil
			}
			return []storage.Chunk{c}
		}, indexes(1, 5)},
		"the last chunk is missing": {func(c storage.Chunk) []storage.Chunk {
			if c.First == 9 {
				return nil
			}
			return []storage.Chunk{c}
		}, indexes(9, 10)},
		"all are missing": {func(c storage.Chunk) []storage.Chunk { return nil }, indexes(1, 10)},
		"a chunk is another worker's": {func(c storage.Chunk) []storage.Chunk {
			if c.First == 3 {
				c.Worker = worker(0)
			}
			return []storage.Chunk{c}
		}, indexes(3, 5)},
		"a chunk has the bytes of another": {func(c storage.Chunk) []storage.Chunk {
			if c.First == 3 {
				c.Bytes = chunks[2].Bytes
			}
			return []storage.Chunk{c}
		}, indexes(3, 5)},
		"a chunk claims one entry less": {func(c storage.Chunk) []storage.Chunk {
			if c.First == 3 {
				c.Count--
			}
			return []storage.Chunk{c}
		}, indexes(4, 5)},
		"a chunk claims one entry more": {func(c storage.Chunk) []storage.Chunk {
			if c.First == 9 {
				c.Count++
			}
			return []storage.Chunk{c}
		}, nil},
		"a chunk has a byte more": {func(c storage.Chunk) []storage.Chunk {
			if c.First == 3 {
				c = longer
			}
			return []storage.Chunk{c}
		}, indexes(5, 5)},
		"a chunk is empty": {func(c storage.Chunk) []storage.Chunk {
			if c.First == 3 {
				c.Bytes = nil
			}
			return []storage.Chunk{c}
		}, indexes(3, 5)},
		"a chunk comes twice": {func(c storage.Chunk) []storage.Chunk { return []storage.Chunk{c, c} }, nil},
		"a chunk has impossible indexes": {func(c storage.Chunk) []storage.Chunk {
			if c.First == 3 {
				c.First, c.Count = 0, 0
			}
			return []storage.Chunk{c}
		}, indexes(3, 5)},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			logs.mangle = func(c storage.Chunk, yield func(storage.Chunk, error) bool) bool {
				for _, changed := range test.change(c) {
					if !yield(changed, nil) {
						return false
					}
				}
				return true
			}
			got := accounted(t, logs, last)
			if !slices.Equal(got.damaged, test.damaged) || len(got.whole)+len(got.damaged) != int(last) {
				t.Errorf("whole are %v, damaged %v, want %v: %v", got.whole, got.damaged, test.damaged, got.errs)
			}
			whole, err := replayAll(t, logs, 1, last)
			want := last
			if len(test.damaged) > 0 {
				want = test.damaged[0] - 1
			}
			if len(whole) != int(want) && name != "a chunk comes twice" || err == nil {
				t.Errorf("a cursor gives %v and then %v, want the entries up to %d", whole, err, want)
			}
		})
	}
}

// accounted is readAll for stores that say impossible things: what they damage
// may reach to the next whole entry, and entries may be damaged twice.
func accounted(t *testing.T, logs storage.Logs, last Index) (s seen) {
	t.Helper()
	damaged := map[Index]bool{}
	open := Index(0)
	for entry, err := range Read(t.Context(), logs, alice, 1, 0) {
		if err == nil {
			if err := checkLine(entry, entry.Index); err != nil {
				t.Fatal(err)
			}
			s.whole = append(s.whole, entry.Index)
			for ; open != 0 && open < entry.Index; open++ {
				damaged[open] = true
			}
			open = 0
			continue
		}
		s.errs = append(s.errs, err)
		var corrupt *storage.CorruptError
		if !errors.As(err, &corrupt) || corrupt.Worker != alice || corrupt.From == 0 {
			t.Fatalf("got %v", err)
		}
		if corrupt.To == 0 {
			open = corrupt.From
		}
		for i := corrupt.From; i <= min(last, corrupt.To); i++ {
			damaged[i] = true
		}
	}
	for i := Index(1); i <= last; i++ {
		if damaged[i] {
			s.damaged = append(s.damaged, i)
		}
	}
	return s
}

func TestErrorsOfTheStoreArePassedOnAndReadingGoesOn(t *testing.T) {
	logs := newHooked()
	last := write(t, logs, 2, 3, 3)
	for name, fault := range map[string]error{
		"damage":                     &storage.CorruptError{Worker: alice, From: 3, To: 5, Cause: errDisk},
		"damage without a known end": &storage.CorruptError{Worker: alice, From: 3, Cause: errDisk},
	} {
		t.Run(name, func(t *testing.T) {
			logs.mangle = func(c storage.Chunk, yield func(storage.Chunk, error) bool) bool {
				if c.First == 3 {
					return yield(storage.Chunk{}, fault)
				}
				return yield(c, nil)
			}
			var whole []Index
			var errs []error
			for entry, err := range Read(t.Context(), logs, alice, 1, 0) {
				if err != nil {
					errs = append(errs, err)
					continue
				}
				whole = append(whole, entry.Index)
			}
			if want := []Index{1, 2, 6, 7, 8}; !slices.Equal(whole, want) || len(errs) != 1 || !errors.Is(errs[0], errDisk) {
				t.Errorf("got %v and %v, want %v and one error", whole, errs, want)
			}
			if whole, err := replayAll(t, logs, 1, last); len(whole) != 2 || !errors.Is(err, errDisk) {
				t.Errorf("a cursor gives %v and then %v", whole, err)
			}
		})
	}
}

// FuzzChunk gives the chunk reader any bytes under any claim. Each entry that
// the chunk claims and that is asked for is given or reported, exactly once.
func FuzzChunk(f *testing.F) {
	f.Add(oneChunk(Version).Bytes, uint64(1), uint32(1), uint64(1), uint64(1))
	f.Add(oneChunk(Version).Bytes, uint64(1), uint32(1<<31), uint64(1), uint64(40))
	f.Add([]byte(nil), uint64(0), uint32(0), uint64(0), uint64(0))
	f.Add(make([]byte, 60), ^uint64(0)-3, uint32(9), uint64(2), ^uint64(0)-1)
	f.Fuzz(func(t *testing.T, b []byte, first uint64, count uint32, from, to uint64) {
		b = bytes.Clone(b)
		if len(b) >= chunkHeader && b[0]%4 != 0 { // most pass the header, and many the checksums
			reseal(b, first, b[0]%2 == 0)
		}
		from, to = max(from, 1), min(to, 2*maxIndex)
		next := from
		r := reading{ctx: t.Context(), logs: newHooked(), worker: alice, sum: workerSum(alice), from: from, to: to, next: from}
		r.yield = func(e Entry, err error) bool {
			var corrupt *storage.CorruptError
			switch {
			case err == nil:
				if e.Index < next || e.Index > to {
					t.Fatalf("entry %d comes at %d of %d", e.Index, next, to)
				}
				next = e.Index + 1
			case errors.As(err, &corrupt) && corrupt.To == 0 && corrupt.From == next:
				next = to + 1 // there is no chunk behind it
			case errors.As(err, &corrupt) && corrupt.To >= next:
				if corrupt.From > next {
					t.Fatalf("%v comes at %d", err, next)
				}
				next = corrupt.To + 1
			}
			return true
		}
		chunk := storage.Chunk{Worker: alice, First: first, Count: count, Bytes: b}
		r.run(func(yield func(storage.Chunk, error) bool) { yield(chunk, nil) })
		if from <= to && next <= to {
			t.Fatalf("reading %d to %d ended at %d", from, to, next)
		}
	})
}

// reseal makes the checksums in b right: the header's, and those of all entries
// or of every second one.
func reseal(b []byte, index Index, all bool) {
	b[0] = Version
	binary.LittleEndian.PutUint32(b[chunkSum:], checksum(workerSum(alice), index, b[:chunkSum]))
	for b = b[chunkHeader:]; ; index++ {
		n, w := uvarint(b)
		if w <= 0 || n == 0 || n > MaxEntry || w+int(n)+4 > len(b) {
			return
		}
		content := b[w : w+int(n)]
		b = b[w+int(n):]
		if all || index%2 == 0 {
			binary.LittleEndian.PutUint32(b, checksum(0, index, content))
		}
		b = b[4:]
	}
}
