package once

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"github.com/waterbear-run/waterbear/internal/oplog"
)

func TestRecordsAreReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := Record{
			Exists: rapid.Bool().Draw(t, "exists"), At: oplog.Time(rapid.Int64().Draw(t, "at")),
			Writes: rapid.Uint64().Draw(t, "writes"), forgot: rapid.Uint64().Draw(t, "forgot"),
		}
		if r.Exists {
			r.Value = rapid.SliceOf(rapid.Byte()).Draw(t, "value")
		}
		for range rapid.IntRange(0, 3).Draw(t, "writers") {
			r.writers = append(r.writers, written{
				Writer{rapid.String().Draw(t, "worker"), oplog.Index(rapid.Uint64().Draw(t, "index"))},
				rapid.Uint64().Draw(t, "number"), rapid.Int64().Draw(t, "sum"),
			})
		}
		b := r.append(nil)
		got, err := decodeRecord(b)
		if err != nil || !bytes.Equal(got.append(nil), b) || got.Exists != r.Exists || got.Writes != r.Writes || len(got.writers) != len(r.writers) {
			t.Errorf("got %+v, %v; want %+v", got, err, r)
		}
		head := len(b) - len(r.Value)
		if n := rapid.IntRange(0, head-1).Draw(t, "n"); n < head {
			if _, err := decodeRecord(b[:n]); err == nil {
				t.Errorf("%d bytes of %d are taken for a record", n, head)
			}
		}
	})
}

func FuzzDecode(f *testing.F) {
	r := Record{Exists: true, Value: []byte("x"), Writes: 2, writers: []written{{Writer{"alice", 7}, 2, 3}}}
	f.Add(r.append(nil))
	f.Fuzz(func(_ *testing.T, b []byte) { _, _ = decodeRecord(b) })
}
