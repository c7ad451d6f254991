package worker

import (
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/oplog"
)

// aged is a life of 1000 entries and 250 invocations, one a second, with a mark
// every 100 entries and an archive for every 100 that are gone.
func aged(below oplog.Index) *oplog.Life {
	l := &oplog.Life{Status: oplog.Status{Last: 1000}}
	kept := &l.Retained
	kept.Below, kept.Ended = below, 250
	for i := oplog.Index(100); i <= 1000; i += 100 {
		at := oplog.Time(time.Duration(i/4) * time.Second)
		if i+1 >= below {
			kept.Marks = append(kept.Marks, oplog.Mark{Index: i + 1, At: at, Ended: i / 4})
		} else {
			a := oplog.Archive{From: i - 99, Below: i + 1, Newest: at, Ended: i / 4}
			kept.Results.Archives, kept.Logs.Archives = append(kept.Results.Archives, a), append(kept.Logs.Archives, a)
		}
	}
	return l
}

func TestNoMoreGoesThanNobodyNeeds(t *testing.T) {
	const now = oplog.Time(250 * time.Second)
	everything := api.KeepEverything()
	for _, c := range []struct {
		name         string
		keep         api.Retention
		below        oplog.Index
		least, slack oplog.Index
		want         going
	}{
		{"by default nothing", api.Retention{}, 1, 1000, 1, going{}},
		{"of everything nothing", api.Retention{Oplog: everything, Results: everything, Logs: everything}, 401, 1000, 1, going{}},
		{"all but the newest 100 invocations", api.Retention{Oplog: api.KeepInvocations(100)}, 1, 1000, 1, going{cut: 601}},
		{"all but 101 of them", api.Retention{Oplog: api.KeepInvocations(101)}, 1, 1000, 1, going{cut: 501}},
		{"all but 100 seconds", api.Retention{Oplog: api.KeepFor(100 * time.Second)}, 1, 1000, 1, going{cut: 601}},
		{"all but 101 seconds", api.Retention{Oplog: api.KeepFor(101 * time.Second)}, 1, 1000, 1, going{cut: 501}},
		{"nothing that recovery needs", api.Retention{Oplog: api.KeepInvocations(1)}, 1, 450, 1, going{cut: 401}},
		{"nothing while there is one image", api.Retention{Oplog: api.KeepInvocations(1)}, 1, 0, 1, going{}},
		{"nothing that is not worth it", api.Retention{Oplog: api.KeepInvocations(100)}, 501, 1000, 200, going{}},
		{"what is worth it", api.Retention{Oplog: api.KeepInvocations(100)}, 401, 1000, 200, going{cut: 601}},
		{"what is an eighth of the rest", api.Retention{Oplog: api.KeepInvocations(25)}, 801, 1000, 1, going{cut: 901}},
		{"results that are old", api.Retention{Results: api.KeepInvocations(200)}, 401, 1000, 1, going{results: 201, forgets: true}},
		{"results that are too old", api.Retention{Results: api.KeepFor(201 * time.Second)}, 401, 1000, 1, going{results: 101, forgets: true}},
		{"output of the same invocations", api.Retention{Logs: api.KeepInvocations(199)}, 401, 1000, 1, going{logs: 201, forgets: true}},
		{"output that may be of one more", api.Retention{Logs: api.KeepInvocations(200)}, 401, 1000, 1, going{logs: 101, forgets: true}},
		{"no more results than there are", api.Retention{Results: api.KeepInvocations(1)}, 401, 1000, 1, going{results: 301, forgets: true}},
	} {
		if got := goingOf(aged(c.below), c.keep, c.least, c.slack, now); got != c.want {
			t.Errorf("%s: got %+v, want %+v", c.name, got, c.want)
		}
	}
}

func TestAClockThatGoesBackLetsNothingGo(t *testing.T) {
	keep := api.Retention{Oplog: api.KeepFor(time.Minute), Results: api.KeepFor(time.Minute), Logs: api.KeepFor(time.Minute)}
	if got := goingOf(aged(401), keep, 1000, 1, -oplog.Time(time.Hour)); got != (going{}) {
		t.Errorf("got %+v", got)
	}
}
