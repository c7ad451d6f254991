package oplog

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/sched"
	"github.com/waterbear-run/waterbear/internal/storage"
)

// seen is what became of the entries of an oplog of lines that was read.
type seen struct {
	whole   []Index
	damaged []Index
	errs    []error
}

// readAll reads alice's lines and checks that each entry is either whole or in
// the range of one error, in order.
func readAll(t *testing.T, logs storage.Logs, from, to Index) (s seen) {
	t.Helper()
	next := from
	for entry, err := range Read(t.Context(), logs, alice, from, to) {
		if err == nil {
			if err := checkLine(entry, next); err != nil {
				t.Fatal(err)
			}
			s.whole = append(s.whole, next)
			next++
			continue
		}
		s.errs = append(s.errs, err)
		var corrupt *storage.CorruptError
		if !errors.As(err, &corrupt) {
			continue
		}
		if corrupt.Worker != alice || corrupt.From > next || corrupt.To < next {
			t.Fatalf("at entry %d: %v", next, err)
		}
		for ; next <= corrupt.To; next++ {
			s.damaged = append(s.damaged, next)
		}
	}
	return s
}

// replayAll reads alice's lines with a cursor up to an error.
func replayAll(t *testing.T, logs storage.Logs, from, last Index) (whole []Index, err error) {
	t.Helper()
	cursor := NewCursor(logs, alice, from, last)
	for next := from; ; next++ {
		entry, err := cursor.Next(t.Context())
		if err != nil {
			if _, again := cursor.Next(t.Context()); again != err {
				t.Fatalf("at entry %d: %v, and then: %v", next, err, again)
			}
			return whole, err
		}
		if err := checkLine(*entry, next); err != nil {
			t.Fatal(err)
		}
		whole = append(whole, next)
	}
}

func indexes(from, to Index) (list []Index) {
	for i := from; i <= to; i++ {
		list = append(list, i)
	}
	return list
}

func TestReadAndCursorGiveTheEntriesAskedFor(t *testing.T) {
	logs := newHooked()
	last := write(t, logs, 1, 5, 1, 1, 8)
	for from := Index(1); from <= last+2; from++ {
		for to := Index(0); to <= last+2; to++ {
			end := min(to, last)
			if to == 0 {
				end = last
			}
			if got, want := readAll(t, logs, from, to), indexes(from, end); !slices.Equal(got.whole, want) || got.errs != nil {
				t.Errorf("Read(%d, %d) gives %v, %v, want %v", from, to, got.whole, got.errs, want)
			}
			if to > last {
				continue
			}
			if got, err := replayAll(t, logs, from, to); !slices.Equal(got, indexes(from, to)) || !errors.Is(err, ErrEnd) {
				t.Errorf("a cursor from %d to %d gives %v, %v", from, to, got, err)
			}
		}
	}
	for entry, err := range Read(t.Context(), logs, alice, 0, 0) {
		if err != nil || entry.Index != 1 {
			t.Errorf("Read from 0 begins with entry %d, %v", entry.Index, err)
		}
		break
	}
	for entry, err := range Read(t.Context(), logs, worker(9), 1, 0) {
		t.Errorf("a worker without an oplog has %v, %v", entry, err)
	}
}

func TestTruncatedEntriesAreLeftOut(t *testing.T) {
	logs := newHooked()
	last := write(t, logs, 3, 3, 3)
	if err := logs.Truncate(t.Context(), shard, 1, alice, 5); err != nil {
		t.Fatal(err)
	}
	if got := readAll(t, logs, 4, 0); !slices.Equal(got.whole, indexes(4, last)) || got.errs != nil {
		t.Errorf("got %v, %v", got.whole, got.errs)
	}
	for entry, err := range Read(t.Context(), logs, alice, 1, 0) {
		if err != nil || entry.Index != 4 {
			t.Errorf("reading from 1 begins with entry %d, %v", entry.Index, err)
		}
		break
	}
	var truncated *TruncatedError
	if _, err := replayAll(t, logs, 1, last); !errors.As(err, &truncated) || *truncated != (TruncatedError{alice, 1, 3}) {
		t.Errorf("a cursor that needs truncated entries: %v", err)
	}
	if _, err := ReadStatus(t.Context(), logs, alice); !errors.As(err, &truncated) || *truncated != (TruncatedError{alice, 1, 3}) {
		t.Errorf("the status that needs truncated entries: %v", err)
	}
	if _, err := ReadLife(t.Context(), logs, alice); !errors.As(err, &truncated) || *truncated != (TruncatedError{alice, 1, 3}) {
		t.Errorf("the life that needs truncated entries: %v", err)
	}
}

func isDamage(err error, from, to Index) bool {
	var corrupt *storage.CorruptError
	return errors.As(err, &corrupt) && corrupt.Worker == alice && corrupt.From == from && corrupt.To == to
}

func TestAStoreThatCannotBeReadIsAnError(t *testing.T) {
	logs := newHooked()
	last := write(t, logs, 2, 2)
	for _, err := range Read(t.Context(), boundless{logs}, alice, 1, 0) {
		if !errors.Is(err, errDisk) {
			t.Errorf("Read without bounds gives %v, want the disk's error", err)
		}
	}
	logs.mangle = func(c storage.Chunk, yield func(storage.Chunk, error) bool) bool {
		yield(storage.Chunk{}, errDisk)
		return false
	}
	if got := readAll(t, logs, 1, 0); got.whole != nil || len(got.errs) != 1 || !errors.Is(got.errs[0], errDisk) {
		t.Errorf("Read gives %v and %v", got.whole, got.errs)
	}
	if whole, err := replayAll(t, logs, 1, last); whole != nil || !errors.Is(err, errDisk) {
		t.Errorf("a cursor gives %v and %v", whole, err)
	}
}

// boundless does not know where its logs end.
type boundless struct{ storage.Logs }

func (boundless) Bounds(context.Context, id.Worker) (first, last uint64, err error) {
	return 0, 0, errDisk
}

func TestAReaderThatWantsNoMoreGetsNoMore(t *testing.T) {
	logs := newHooked()
	last := write(t, logs, 2, 2, 2, 2, 2)
	logs.mangle = func(c storage.Chunk, yield func(storage.Chunk, error) bool) bool {
		switch c.First {
		case 3:
			return yield(storage.Chunk{}, &storage.CorruptError{Worker: alice, From: 3, To: 4})
		case 5:
			c.Bytes = nil
		case 7:
			return true // missing
		}
		return yield(c, nil)
	}
	for n := 1; ; n++ {
		got := 0
		for range Read(t.Context(), logs, alice, 1, last) { // panics if it is called on
			if got++; got == n {
				break
			}
		}
		if got < n {
			if n != 8 {
				t.Errorf("got %d entries and errors, want 7", got)
			}
			return
		}
	}
}

// oneChunk is a chunk of alice with entry 1.
func oneChunk(version byte) storage.Chunk {
	b := make([]byte, chunkHeader)
	putChunkHeader(b, workerSum(alice), 1, time.Unix(1_900_000_000, 0))
	b[0] = version
	binary.LittleEndian.PutUint32(b[chunkSum:], checksum(workerSum(alice), 1, b[:chunkSum]))
	return storage.Chunk{Worker: alice, First: 1, Count: 1, Bytes: appendEntry(&coder{}, b, 1, line(1))}
}

func TestAChunkIsWrittenAsInVersion1(t *testing.T) {
	written := oneChunk(Version).Bytes
	want := parseHex(t, goldenFile(t, "v1/chunk.hex", hexLines(written)))
	if !bytes.Equal(written, want) {
		t.Errorf("written as\n%swant\n%s", hexLines(written), hexLines(want))
	}
}

func TestANewerFormatIsRefusedByItsVersion(t *testing.T) {
	for version, want := range map[byte]string{
		Version + 1: fmt.Sprintf("oplog format %d is newer than %d, the newest this waterbear reads: use a newer waterbear", Version+1, Version),
		0:           "corrupt oplog of shop/alice, entries 1 to 1, at the chunk of entries 1 to 1: there is no such format",
	} {
		logs := newHooked()
		write(t, logs, 1, 2)
		logs.mangle = func(c storage.Chunk, yield func(storage.Chunk, error) bool) bool {
			if c.First == 1 {
				c = oneChunk(version)
			}
			return yield(c, nil)
		}
		var errs []error
		var whole []Index
		for entry, err := range Read(t.Context(), logs, alice, 1, 0) {
			if err != nil {
				errs = append(errs, err)
			} else {
				whole = append(whole, entry.Index)
			}
		}
		if len(errs) != 1 || errs[0].Error() != want || !slices.Equal(whole, indexes(2, 3)) {
			t.Errorf("format %d: got %v and %v, want %q and entries 2 and 3", version, errs, whole, want)
		}
		var newer *VersionError
		if _, err := replayAll(t, logs, 1, 3); errors.As(err, &newer) != (version > Version) || err == nil {
			t.Errorf("format %d: a cursor gives %v", version, err)
		}
	}
}

func TestAnUnknownKindHarmsItsEntryAlone(t *testing.T) {
	b := make([]byte, chunkHeader)
	putChunkHeader(b, workerSum(alice), 1, time.Unix(0, 0))
	for i := Index(1); i <= 3; i++ {
		start := len(b)
		b = appendEntry(&coder{}, b, i, line(i))
		if i == 2 {
			b[start+1] = byte(len(kinds))
			b = sealEntry(b[:len(b)-4], start, i)
		}
	}
	logs := newHooked()
	write(t, logs, 3)
	logs.mangle = func(c storage.Chunk, yield func(storage.Chunk, error) bool) bool {
		c.Bytes = b
		return yield(c, nil)
	}
	got := readAll(t, logs, 1, 0)
	if !slices.Equal(got.whole, []Index{1, 3}) || !slices.Equal(got.damaged, []Index{2}) {
		t.Errorf("got %v, %v", got.whole, got.errs)
	}
	if whole, err := replayAll(t, logs, 1, 3); len(whole) != 1 || !isDamage(err, 2, 2) {
		t.Errorf("a cursor gives %v and then %v", whole, err)
	}
}

func TestDamageBeforeWhatIsAskedForConcernsNobody(t *testing.T) {
	logs := newHooked()
	last := write(t, logs, 6)
	logs.mangle = func(c storage.Chunk, yield func(storage.Chunk, error) bool) bool {
		c.Bytes[chunkHeader+6] ^= 1 // in entry 1
		return yield(c, nil)
	}
	if got := readAll(t, logs, 3, 0); !slices.Equal(got.whole, indexes(3, last)) || got.errs != nil {
		t.Errorf("Read gives %v, %v", got.whole, got.errs)
	}
	if whole, err := replayAll(t, logs, 3, last); !slices.Equal(whole, indexes(3, last)) || !errors.Is(err, ErrEnd) {
		t.Errorf("a cursor gives %v, %v", whole, err)
	}
}

func TestACursorReadsAhead(t *testing.T) {
	logs := newHooked()
	counts := make([]int, 1000)
	for i := range counts {
		counts[i] = 1
	}
	last := write(t, logs, counts...)
	logs.reads = 0
	if whole, err := replayAll(t, logs, 1, last); len(whole) != len(counts) || !errors.Is(err, ErrEnd) {
		t.Fatalf("got %d entries and %v", len(whole), err)
	}
	if logs.reads != 1 {
		t.Errorf("%d chunks take %d reads", len(counts), logs.reads)
	}
}

func TestACursorReadsKindsThatItDoesNotReuse(t *testing.T) {
	logs := newHooked()
	c := newCommitter(t, sched.NewGoroutines(), logs)
	w := c.NewWriter(alice, 0)
	var want []Body
	for _, k := range kinds {
		if k == nil {
			continue
		}
		want = append(want, samples[k.name].body)
		if _, err := w.Append(t.Context(), samples[k.name].body); err != nil {
			t.Fatal(err)
		}
	}
	mustCommit(t, w)
	mustClose(t, c)
	cursor := NewCursor(logs, alice, 1, w.Last())
	for i, body := range want {
		entry, err := cursor.Next(t.Context())
		if err != nil || fmt.Sprint(entry.Body) != fmt.Sprint(body) || entry.Index != Index(i+1) {
			t.Errorf("got %+v, %v, want %+v", entry, err, body)
		}
	}
}
