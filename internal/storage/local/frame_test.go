package local

import (
	"bytes"
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/vfs"
)

// everyKind has a record of each kind.
func everyKind() []record {
	a, b := id.Worker{Component: "c", Name: "a"}, id.Worker{Component: "d", Name: "b"}
	return []record{
		{kind: kindSegment, shard: 7, epoch: 3, head: 1 << 40},
		{kind: kindChunk, worker: a, first: 1, count: 3, bytes: []byte("three entries")},
		{kind: kindChunk, worker: b, first: 1 << 50, count: 1},
		{kind: kindChunk, worker: a, first: 4, count: 1, bytes: bytes.Repeat([]byte("x"), 100), moved: true, stamp: 5},
		{kind: kindShard, shard: 1, epoch: 4, head: 3, segmentEpoch: 2, digest: 1<<63 + 4},
		{kind: kindTruncate, worker: a, first: 9},
		{kind: kindDelete, worker: b, moved: true, stamp: 2},
		{kind: kindCell, key: "key", bytes: []byte("value")},
		{kind: kindCellDelete, key: "key"},
		{kind: kindBlob, hash: storage.Hash{1, 2}, bytes: []byte("blob")},
		{kind: kindBlobDelete, hash: storage.Hash{3}},
	}
}

func encode(salt, seq uint64, records []record) []byte {
	for i := range records {
		if !records[i].moved {
			records[i].stamp = seq
		}
	}
	return encodeFrame(nil, salt, seq, records)
}

func TestAFrameIsReadAsItWasWritten(t *testing.T) {
	const start = 4096
	records := everyKind()
	b := encode(99, 12, records)
	h, ok := decodeHeader(b, 99)
	if !ok || h.size() != int64(len(b)) {
		t.Fatalf("the header is not read: %v, %d of %d bytes", ok, h.size(), len(b))
	}
	f, ok := decodeFrame(b, h, start)
	if !ok || f.damaged != nil || f.seq != 12 || f.end != start+int64(len(b)) {
		t.Fatalf("the frame is not read: %+v", f)
	}
	for i := range records {
		got, want := f.records[i], records[i]
		if want.kind.hasBytes() && !bytes.Equal(f.content(i), want.bytes) {
			t.Errorf("record %d holds %q", i, f.content(i))
		}
		want.bytes, want.offset = nil, want.offset+start
		if !want.kind.hasBytes() {
			got.offset, want.offset = 0, 0
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("record %d: got %+v, want %+v", i, got, want)
		}
	}
}

func TestEveryFlippedByteOfAFrameIsFound(t *testing.T) {
	records := everyKind()
	clean := encode(99, 12, records)
	for at := range clean {
		b := bytes.Clone(clean)
		b[at] ^= 0x41
		s := newScanner(bytes.NewReader(b), 99, 0, int64(len(b)), 0)
		f, _, err := s.next()
		if err != nil || f == nil || f.start != 0 {
			t.Fatalf("byte %d flipped: the frame is lost: %v", at, err)
		}
		for i, r := range f.records {
			inside := r.kind.hasBytes() && int64(at) >= r.offset && int64(at) < r.offset+int64(r.length)
			if damaged := f.damaged != nil && f.damaged[i]; damaged != inside {
				t.Fatalf("byte %d flipped: record %d is said to be damaged: %v", at, i, damaged)
			}
			if r.worker != records[i].worker || r.first != records[i].first || r.key != records[i].key {
				t.Fatalf("byte %d flipped: record %d is another", at, i)
			}
		}
	}
}

func TestWhatIsBehindALostHeaderIsFoundWhereverItBegins(t *testing.T) {
	for _, around := range []int{100, readAhead, 2 * readAhead, 3*readAhead + 5} {
		for _, shift := range []int{-96, -48, -40, -32, -8, 0, 8, 40} {
			first := encode(99, 1, []record{{kind: kindCell, key: "k", bytes: make([]byte, around+shift)}})
			second := encode(99, 2, []record{{kind: kindCell, key: "l", bytes: []byte("second")}})
			b := slices.Concat(first, second)
			clear(b[:headerSize])
			clear(b[len(first)-headerSize : len(first)])
			s := newScanner(bytes.NewReader(b), 99, 0, int64(len(b)), 0)
			f, from, err := s.next()
			if err != nil || f == nil || f.seq != 2 || from != 0 || f.start != int64(len(first)) {
				t.Fatalf("a frame behind %d lost bytes: %+v, %v", len(first), f, err)
			}
		}
	}
}

func TestFramesOfAnotherFileOrOfBeforeAreNone(t *testing.T) {
	b := slices.Concat(encode(99, 5, everyKind()), encode(98, 6, everyKind()), encode(99, 5, everyKind()))
	s := newScanner(bytes.NewReader(b), 99, 0, int64(len(b)), 4)
	if f, _, _ := s.next(); f == nil || f.seq != 5 {
		t.Fatal("the first frame is not read")
	}
	if f, _, err := s.next(); f != nil || err != nil {
		t.Fatalf("read %+v, %v", f, err)
	}
}

func FuzzDecodeDirectory(f *testing.F) {
	b := encode(99, 12, everyKind())
	h, _ := decodeHeader(b, 99)
	f.Add(b[headerSize:headerSize+int(h.directory)], int(h.records), int64(h.body))
	f.Fuzz(func(t *testing.T, b []byte, count int, body int64) {
		if count < 0 {
			return
		}
		records, err := decodeDirectory(b, 12, count, body)
		if err != nil {
			return
		}
		// What is read is written the same, but for numbers that were written
		// longer than need be and components that were repeated.
		var again []byte
		for i := range records {
			again = appendRecord(again, &records[i], "")
		}
		second, err := decodeDirectory(again, 12, count, body)
		if err != nil || !reflect.DeepEqual(second, records) {
			t.Fatalf("written again it reads\n%+v, %v\nwant\n%+v", second, err, records)
		}
	})
}

func FuzzScan(f *testing.F) {
	b := slices.Concat(encode(99, 1, everyKind()), encode(99, 2, everyKind()))
	f.Add(b)
	clear(b[10:20])
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		s := newScanner(bytes.NewReader(b), 99, 0, int64(len(b)), 0)
		for end := int64(0); ; {
			f, from, err := s.next()
			if err != nil {
				t.Fatal(err)
			}
			if f == nil {
				break
			}
			if from != end || f.start < from || f.end <= f.start || f.end > int64(len(b)) {
				t.Fatalf("a frame from %d to %d behind %d", f.start, f.end, end)
			}
			end = f.end
		}
	})
}

// TestFilesHeadersAreReadFromEitherCopy also shows what a newer one is.
func TestFileHeadersAreReadFromEitherCopy(t *testing.T) {
	want := fileHeader{number: 3, salt: 1 << 63, firstSeq: 9, previous: 2, previousEnd: 4096}
	for at := range firstFrame {
		b := want.encode()
		b[at] ^= 0xff
		if h, ok, err := decodeFileHeader(b); !ok || err != nil || h != want {
			t.Fatalf("byte %d flipped: %+v, %v, %v", at, h, ok, err)
		}
	}
	for n := range firstFrame {
		if _, ok, err := decodeFileHeader(want.encode()[:n]); ok != (n >= fileHeaderSize) || err != nil {
			t.Fatalf("%d bytes: %v, %v", n, ok, err)
		}
	}
}

// TestTheIndexComesOutTheSameWhateverMoved applies records in order; and again
// with some of those that count moved behind the others and some of those that
// do not, or were moved, left out.
func TestTheIndexComesOutTheSameWhateverMoved(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		workers := []id.Worker{{Component: "c", Name: "a"}, {Component: "c", Name: "b"}}
		next := map[id.Worker]uint64{workers[0]: 1, workers[1]: 1}
		below := map[id.Worker]uint64{workers[0]: 1, workers[1]: 1}
		var said []record
		for i := range rapid.IntRange(1, 30).Draw(r, "records") {
			w := rapid.SampledFrom(workers).Draw(r, "worker")
			rec := record{stamp: uint64(i + 1), worker: w, offset: int64(i)}
			switch rapid.IntRange(0, 6).Draw(r, "kind") {
			case 0:
				rec.kind, next[w], below[w] = kindDelete, 1, 1
			case 1:
				below[w] = rapid.Uint64Range(below[w], next[w]).Draw(r, "below")
				rec.kind, rec.first = kindTruncate, below[w]
			case 2:
				rec.kind, rec.key = kindCell, "key"
			case 3:
				rec.kind, rec.key = kindCellDelete, "key"
			default:
				rec.kind, rec.first, rec.length = kindChunk, next[w], uint32(i)
				rec.count = rapid.Uint32Range(1, 4).Draw(r, "entries")
				next[w] += uint64(rec.count)
			}
			said = append(said, rec)
		}
		x := apply(r, said)
		m := moving{index: x, file: 1}
		var stayed, moved []record
		for i := range said {
			counts, err := m.counts(&said[i])
			if err != nil {
				r.Fatal(err)
			}
			move := counts && rapid.Bool().Draw(r, "move")
			if move {
				again := said[i]
				again.moved, again.offset = true, again.offset+1000
				moved = append(moved, again)
			}
			if counts && !move || rapid.Bool().Draw(r, "stay") {
				stayed = append(stayed, said[i])
			}
		}
		again := apply(r, append(stayed, rapid.Permutation(moved).Draw(r, "order")...))
		if err := again.recount(); err != nil {
			r.Fatal(err)
		}
		if got, want := describe(r, again, workers), describe(r, x, workers); got != want {
			r.Fatalf("got\n%s\nwant\n%s", got, want)
		}
	})
}

// apply makes an index of records, writing it now and then. Those that were
// moved come several in a frame.
func apply(t *rapid.T, records []record) *index {
	x := newIndex(vfs.NewMemory(1), "/")
	x.files[1] = &logFile{}
	for i, n := 0, 1; i < len(records); i += n {
		for n = 1; records[i].moved && i+n < len(records) && n < 3; n++ {
		}
		p, err := x.prepare(records[i : i+n])
		if err != nil {
			t.Fatal(err)
		}
		x.apply(p, 1, records[i:i+n], position{File: 1, Seq: uint64(i + 1)})
		if i%5 != 4 || !x.freeze() {
			continue
		}
		if err := x.flush(); err != nil {
			t.Fatal(err)
		}
		if n := x.mergeable(); n > 1 {
			if err := x.merge(context.Background(), n); err != nil {
				t.Fatal(err)
			}
		}
	}
	return x
}

func describe(t *rapid.T, x *index, workers []id.Worker) string {
	var text strings.Builder
	text.WriteString(fmt.Sprintln("live", x.files[1].live))
	for _, w := range workers {
		r, err := x.read(w, 1)
		if err != nil {
			t.Fatal(err)
		}
		text.WriteString(fmt.Sprintf("%s %d-%d:", w, r.below, r.last))
		for i := r.below; i <= r.last; {
			c, ok, _, err := r.at(i)
			if err != nil || !ok {
				t.Fatalf("entry %d of %s is missing: %+v, %v", i, w, r.workerState, err)
			}
			text.WriteString(fmt.Sprintf(" %d@%d", c.first, c.offset%1000))
			i = c.last() + 1
		}
		text.WriteString("\n")
		r.close()
	}
	i, ok, err := x.item(cellKey("key"))
	if err != nil {
		t.Fatal(err)
	}
	return text.String() + fmt.Sprintln(ok && !i.deleted, i.stamp, i.offset%1000)
}
