package sim

import (
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/oplog"
)

// TestAuditFindsWhatAWorkerMayNotDo gives it oplogs that end in what no worker
// of kit can have recorded.
func TestAuditFindsWhatAWorkerMayNotDo(t *testing.T) {
	accept := func(key, args string, due oplog.Time, queue uint64) oplog.Body {
		return &oplog.InvocationAccepted{Key: key, Function: "inc", Args: []byte(args), Due: due, Queue: queue}
	}
	start := func(accepted oplog.Index, attempt, queue uint64) oplog.Body {
		return &oplog.InvocationStarted{At: 10, Accepted: accepted, Attempt: attempt, Queue: queue}
	}
	finish := func(accepted, started oplog.Index, result string, queue uint64) oplog.Body {
		return &oplog.InvocationFinished{Accepted: accepted, Started: started, Result: []byte(result), Queue: queue}
	}
	create, roll := &oplog.Create{}, &oplog.HostCall{}
	for what, story := range map[string]struct {
		want string
		log  []oplog.Body
	}{
		"nothing": {"", []oplog.Body{
			create, accept("", "[2]", 0, 1), accept("", "[3]", 0, 2), start(2, 1, 2), roll, finish(2, 4, "[2]", 1),
			start(3, 1, 1), finish(3, 7, "[5]", 0),
		}},
		"one that is not due lets the next go first": {"", []oplog.Body{
			create, accept("", "[2]", 11, 1), accept("", "[3]", 10, 2), start(3, 1, 2), finish(3, 4, "[3]", 1),
		}},
		"out of turn":       {"it is the turn", []oplog.Body{create, accept("", "[2]", 10, 1), accept("", "[3]", 0, 2), start(3, 1, 2)}},
		"before it is due":  {"no invocation is due", []oplog.Body{create, accept("", "[2]", 11, 1), start(2, 1, 1)}},
		"two at once":       {"has not ended", []oplog.Body{create, accept("", "[2]", 0, 1), start(2, 1, 1), start(2, 1, 1)}},
		"a wrong result":    {"want [2]", []oplog.Body{create, accept("", "[2]", 0, 1), start(2, 1, 1), finish(2, 3, "[3]", 0)}},
		"a second end":      {"has begun, or none", []oplog.Body{create, accept("", "[2]", 0, 1), start(2, 1, 1), finish(2, 3, "[2]", 0), finish(2, 3, "[2]", 0)}},
		"a key used twice":  {"has this key already", []oplog.Body{create, accept("k", "[2]", 0, 1), accept("k", "[2]", 0, 2)}},
		"a lost attempt":    {"attempts before", []oplog.Body{create, accept("", "[2]", 0, 1), start(2, 2, 1)}},
		"a wrong queue":     {"in the queue", []oplog.Body{create, accept("", "[2]", 0, 2)}},
		"an idle host call": {"no invocation has begun", []oplog.Body{create, roll}},
		"a forgotten key": {"", []oplog.Body{
			create, accept("k", "[2]", 0, 1), start(2, 1, 1), finish(2, 3, "[2]", 0), accept("", "[1]", 0, 1), start(5, 1, 1), finish(5, 6, "[3]", 0),
			&oplog.Image{Covers: 7}, &oplog.Image{Covers: 7}, &oplog.Archived{Below: 8, Results: oplog.Shelving{Forget: 5}}, accept("k", "[9]", 0, 1),
		}},
		"a key forgotten too early": {"1 results are forgotten and 0 left", []oplog.Body{
			create, accept("k", "[2]", 0, 1), start(2, 1, 1), finish(2, 3, "[2]", 0), &oplog.Archived{Below: 1, Results: oplog.Shelving{Forget: 5}},
		}},
		"a key that is not forgotten": {"has this key already", []oplog.Body{
			create, accept("k", "[2]", 0, 1), start(2, 1, 1), finish(2, 3, "[2]", 0), &oplog.Archived{Below: 1, Results: oplog.Shelving{Forget: 4}}, accept("k", "[2]", 0, 1),
		}},
		"a cut that one image alone covers": {"1 images cover", []oplog.Body{
			create, &oplog.Image{Covers: 1}, &oplog.Image{Covers: 2}, &oplog.Archived{Below: 3},
		}},
		"a divergence": {"nothing is wrong", []oplog.Body{create, &oplog.Stuck{Reason: "replay diverged"}}},
	} {
		a, got := newAudit(api.KeepInvocations(1)), ""
		for i, body := range story.log {
			if err := a.take(oplog.Entry{Index: oplog.Index(i + 1), Body: body}); err != nil {
				got = err.Error()
				if i < len(story.log)-1 {
					t.Errorf("%s: entry %d is refused: %v", what, i+1, err)
				}
				break
			}
		}
		if (got == "") != (story.want == "") || !strings.Contains(got, story.want) {
			t.Errorf("%s: got %q, want %q", what, got, story.want)
		}
	}
}
