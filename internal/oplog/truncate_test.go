package oplog

import (
	"context"
	"errors"
	"iter"
	"slices"
	"testing"

	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/storage"
)

// truncating truncates when chunks are about to be read.
type truncating struct {
	storage.Logs
	below uint64
}

func (l truncating) Read(ctx context.Context, w id.Worker, from, to uint64) iter.Seq2[storage.Chunk, error] {
	return func(yield func(storage.Chunk, error) bool) {
		if err := l.Logs.Truncate(ctx, shard, 1, w, l.below); err != nil {
			yield(storage.Chunk{}, err)
			return
		}
		for chunk, err := range l.Logs.Read(ctx, w, from, to) {
			if !yield(chunk, err) {
				return
			}
		}
	}
}

func TestWhatIsTruncatedWhileItIsReadIsNoDamage(t *testing.T) {
	for below := uint64(1); below < 12; below++ {
		logs := newHooked()
		last := write(t, logs, 3, 3, 3)
		first := min((below-1)/3*3+1, last+1) // of the chunk that has entry below
		var got []Index
		for entry, err := range Read(t.Context(), truncating{logs, below}, alice, 2, 0) {
			if err != nil {
				t.Errorf("below %d: %v", below, err)
			}
			got = append(got, entry.Index)
		}
		if want := indexes(max(first, 2), last); !slices.Equal(got, want) {
			t.Errorf("below %d: got %v, want %v", below, got, want)
		}

		logs = newHooked()
		write(t, logs, 3, 3, 3)
		var truncated *TruncatedError
		_, err := replayAll(t, truncating{logs, below}, 1, last)
		if first == 1 && !errors.Is(err, ErrEnd) || first > 1 && (!errors.As(err, &truncated) || *truncated != (TruncatedError{alice, 1, first - 1})) {
			t.Errorf("below %d: a cursor gives %v", below, err)
		}
	}
}

func TestALifeGoesOnOnlyWhereItsEntriesAre(t *testing.T) {
	logs := newHooked()
	write(t, logs, 3, 3, 3)
	if err := logs.Truncate(t.Context(), shard, 1, alice, 5); err != nil {
		t.Fatal(err)
	}
	for last := range Index(9) {
		l := NewLife(alice)
		l.Last = last
		err := l.Continue(t.Context(), logs, 0)
		var truncated *TruncatedError
		if last < 3 && (!errors.As(err, &truncated) || *truncated != (TruncatedError{alice, last + 1, 3})) || last >= 3 && (err != nil || l.Last != 9) {
			t.Errorf("from entry %d on: got %v and the last entry %d", last, err, l.Last)
		}
	}
}
