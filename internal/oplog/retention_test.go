package oplog

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/waterbear-run/waterbear/internal/storage"
)

// archived is an archive of entries from to below-1.
func archived(from, below Index, blob byte) Archive {
	return Archive{From: from, Below: below, Blob: hash(blob)}
}

func TestArchivesTakeThePlacesOfThoseTheyContain(t *testing.T) {
	var r Retained
	change := func(b Archived) { r.archived(&b) }
	add := func(a Archive) Shelving { return Shelving{Added: []Archive{a}} }

	change(Archived{Below: 10, Ended: 3, Open: hash(1), Results: add(archived(1, 10, 2)), Logs: add(archived(1, 10, 3))})
	if r.Below != 10 || r.EndedBelow != 3 || r.Open != hash(1) || len(r.Loose) != 0 {
		t.Errorf("got %+v", r)
	}
	change(Archived{Below: 20, Ended: 5, Open: hash(4), Results: add(archived(1, 20, 5)), Logs: add(archived(10, 20, 6))})
	if want := []Archive{archived(1, 20, 5)}; !reflect.DeepEqual(r.Results.Archives, want) {
		t.Errorf("results: got %+v, want %+v", r.Results.Archives, want)
	}
	if want := []Archive{archived(1, 10, 3), archived(10, 20, 6)}; !reflect.DeepEqual(r.Logs.Archives, want) {
		t.Errorf("logs: got %+v, want %+v", r.Logs.Archives, want)
	}
	if want := []storage.Hash{hash(1), hash(2)}; !slices.Equal(r.Loose, want) {
		t.Errorf("loose: got %v, want %v", r.Loose, want)
	}
	needed, loose := r.Blobs()
	if want := []storage.Hash{hash(4), hash(5), hash(3), hash(6)}; !slices.Equal(needed, want) || len(loose) != 2 {
		t.Errorf("needed: got %v, want %v, and %v loose", needed, want, loose)
	}
	// What is forgotten goes, and no open invocation is left.
	change(Archived{Below: 20, Ended: 5, Results: Shelving{Forget: 19}, Logs: Shelving{Forget: 20}})
	if len(r.Results.Archives) != 1 || r.Results.Forgotten != 19 || len(r.Logs.Archives) != 0 || r.Open != (storage.Hash{}) {
		t.Errorf("got %+v", r)
	}
	if want := []storage.Hash{hash(4), hash(3), hash(6)}; !slices.Equal(r.Loose, want) {
		t.Errorf("loose: got %v, want %v", r.Loose, want)
	}
}

func TestAnArchiveThatIsKeptIsNotLoose(t *testing.T) {
	r := Retained{Open: hash(1), Loose: []storage.Hash{hash(1), hash(2)}}
	if needed, loose := r.Blobs(); !slices.Equal(needed, []storage.Hash{hash(1)}) || !slices.Equal(loose, []storage.Hash{hash(2)}) {
		t.Errorf("needed %v, loose %v", needed, loose)
	}
}

func TestMarksAreFewAndSpreadEvenly(t *testing.T) {
	var r Retained
	for i := range uint64(10_000) {
		r.Ended = i
		r.imaged(3*i+5, &Image{Covers: 3*i + 2, At: Time(i)})
	}
	if len(r.Marks) != maxMarks || len(r.Images) != maxImages || r.Images[maxImages-1].Index != 3*9999+5 {
		t.Fatalf("%d marks, images %+v", len(r.Marks), r.Images)
	}
	first, last := r.Marks[0], r.Marks[maxMarks-1]
	if first.Index != 3 || last != (Mark{3*9999 + 3, 9999, 9999}) {
		t.Errorf("the marks begin with %+v and end with %+v", first, last)
	}
	for i, m := range r.Marks[1:] {
		if gap := m.Index - r.Marks[i].Index; gap > 8*30_000/maxMarks || m.Index != 3*m.Ended+3 {
			t.Errorf("mark %d is %+v, behind %+v", i+1, m, r.Marks[i])
		}
	}
	r.archived(&Archived{Below: 15_000})
	if len(r.Marks) == 0 || r.Marks[0].Index < 15_000 {
		t.Errorf("below entry 15000 there is still %+v", r.Marks)
	}
}

func TestKeysAreForgottenOnceTheirResultsAre(t *testing.T) {
	l := NewLife(alice)
	index := Index(0)
	apply := func(b Body) Index {
		index++
		l.Apply(Entry{Index: index, Body: b})
		return index
	}
	apply(created)
	late := apply(&InvocationAccepted{Key: "late"})
	apply(&InvocationAccepted{Key: "pending"})
	for i := range 10 {
		a := apply(&InvocationAccepted{Key: fmt.Sprint(i)})
		apply(&InvocationStarted{Accepted: a, Attempt: 1})
		apply(&InvocationFinished{Accepted: a, Started: a + 1})
	}
	apply(&InvocationCanceled{Accepted: late})
	if l.Retained.Ended != 11 || l.Keys["4"] != (Key{16, 18}) || l.Keys["late"] != (Key{late, index}) {
		t.Fatalf("%d have ended, keys %v", l.Retained.Ended, l.Keys)
	}
	apply(&Archived{Below: 25, Ended: 7, Results: Shelving{Forget: 18}})
	want := map[string]Key{"late": {late, 34}, "pending": {Accepted: 3}, "4": {16, 18}, "5": {19, 21}, "6": {22, 24}, "7": {25, 27}, "8": {28, 30}, "9": {31, 33}}
	if !reflect.DeepEqual(l.Keys, want) {
		t.Errorf("got %v, want %v", l.Keys, want)
	}
	// A forgotten key is free.
	apply(&InvocationAccepted{Key: "0"})
	if l.Keys["0"] != (Key{Accepted: index}) {
		t.Errorf("got %v", l.Keys["0"])
	}
	got, err := DecodeLife(alice, AppendLife(nil, l))
	if err != nil || !reflect.DeepEqual(got.Keys, l.Keys) || fmt.Sprint(got.Retained) != fmt.Sprint(l.Retained) {
		t.Errorf("got %+v %+v, want %+v %+v, %v", got.Keys, got.Retained, l.Keys, l.Retained, err)
	}
}
