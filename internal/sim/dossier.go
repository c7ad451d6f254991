package sim

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/storage"
)

// dossier is what clients know of a worker, and so what its oplog must not
// forget.
type dossier struct {
	worker id.Worker
	// fleeting says that clients delete it now and then; then all that there is
	// to compare with is deeds.
	fleeting bool
	results  api.Keep                       // is kept of results
	known    map[oplog.Index]api.Invocation // acknowledged, as last seen
	refused  map[string][]api.Call          // under a key that had another call
	settled  map[string]api.Settlement      // promises that clients were told they have settled
	spoken   map[string]bool                // promises that clients were told are settled by others
	deeds    []*Deed
	history  history
	last     *audit // of the oplog that the newest process found
}

func newDossier(w id.Worker, fleeting bool, results api.Keep) *dossier {
	return &dossier{
		worker: w, fleeting: fleeting, results: results, history: history{worker: w},
		known: map[oplog.Index]api.Invocation{}, refused: map[string][]api.Call{},
		settled: map[string]api.Settlement{}, spoken: map[string]bool{},
	}
}

// Deed is an operation of a client as the clients saw it, for checking that all
// of them could have happened one after the other.
type Deed struct {
	Worker   id.Worker
	Client   int
	Function string // "delete" is one, too
	Arg      int64
	Result   int64
	Known    bool // the result is
	// Began and Ended order what clients did and saw; Ended is math.MaxInt64 for
	// what nobody has seen the end of.
	Began, Ended int64

	call  api.Call
	index oplog.Index // 0: not known
	void  bool        // it never had an effect
	vague bool        // its key stood for several invocations: it is any of them
}

// learn takes what a client was told of an invocation.
func (d *dossier) learn(v api.Invocation) error {
	if d.fleeting {
		return nil
	}
	before, ok := d.known[v.Index]
	if ok {
		if before.Key != v.Key || before.Function != v.Function || !bytes.Equal(before.Args, v.Args) {
			return fmt.Errorf("%s: entry %d accepted %s, and now %s", d.worker, v.Index, told(before), told(v))
		}
		if before.State.Done() && told(before) != told(v) {
			return fmt.Errorf("%s: an invocation that had ended is another now:\n%s\n%s", d.worker, told(before), told(v))
		}
	}
	d.known[v.Index] = v
	return nil
}

// told is all of an invocation.
func told(v api.Invocation) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("sim: marshal an invocation: %v", err))
	}
	return string(text)
}

// refuse notes that a key is said to have another call than this one.
func (d *dossier) refuse(call api.Call) error {
	for _, v := range d.known {
		if !d.results.Limited() && v.Key == call.Key && same(v.Function, v.Args, call) {
			return fmt.Errorf("%s: the key %s is refused for the call it was used for", d.worker, call.Key)
		}
	}
	d.refused[call.Key] = append(d.refused[call.Key], call)
	return nil
}

// forgot reports whether err says that a result is not kept any more.
func (d *dossier) forgot(err error) bool {
	return d.results.Limited() && isCode(err, api.CodeExpired, api.CodeNoInvocation)
}

func same(function string, args []byte, call api.Call) bool {
	if len(call.Args) == 0 {
		call.Args = json.RawMessage("[]")
	}
	return function == call.Function && bytes.Equal(args, call.Args)
}

// check compares the oplog that a new process finds with what is known.
func (d *dossier) check(ctx context.Context, logs storage.Logs) (err error) {
	if d.last, err = readAudit(ctx, logs, d.worker, d.results); err != nil || d.fleeting {
		return err
	}
	if err := d.history.check(ctx, logs); err != nil {
		return err
	}
	for _, index := range slices.Sorted(maps.Keys(d.known)) {
		if err := d.last.has(d.known[index]); err != nil {
			return fmt.Errorf("%s: a client was told %s: %w", d.worker, told(d.known[index]), err)
		}
	}
	if err := d.checkPromises(); err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(d.refused)) {
		if d.results.Limited() {
			break // the key may have been free since
		}
		index, ok := d.last.keys[key]
		for _, call := range d.refused[key] {
			if !ok || same(d.last.accepted[index].Function, d.last.accepted[index].Args, call) {
				return fmt.Errorf("%s: the key %s was refused for %s%s, and no other call has it", d.worker, key, call.Function, call.Args)
			}
		}
	}
	return nil
}

// has says in what the oplog differs from what a client was told.
func (a *audit) has(v api.Invocation) error {
	call, ok := a.accepted[v.Index]
	if !ok {
		return fmt.Errorf("the oplog does not accept it")
	}
	if call.Function != v.Function || !bytes.Equal(call.Args, v.Args) || call.Key != "" && call.Key != v.Key || call.At.Time() != v.Accepted {
		return fmt.Errorf("the oplog accepts %+v", call)
	}
	if !v.State.Done() {
		return nil
	}
	end, ok := a.ends[v.Index]
	if !ok || end.Index != v.To && v.State != api.StateCanceled {
		return fmt.Errorf("the oplog does not have its end")
	}
	switch b := end.Body.(type) {
	case *oplog.InvocationFinished:
		ok = v.State == api.StateFinished && bytes.Equal(b.Result, v.Result) && b.Started == v.From
	case *oplog.InvocationFailed:
		ok = v.State == api.StateFailed && b.Code == string(v.Failure.Code) && b.Reason == v.Failure.Reason && b.Attempt == v.Attempts
	case *oplog.InvocationCanceled:
		ok = v.State == api.StateCanceled
	}
	if !ok {
		return fmt.Errorf("the oplog ends it with %+v", end.Body)
	}
	return nil
}

// resolve gives the deeds of clients with all that is known at the end: each
// invocation is one, however often it was asked for, and those that had no
// effect are left out.
func (d *dossier) resolve() []Deed {
	var all []Deed
	places, vague := map[oplog.Index]int{}, map[string]int64{}
	for _, deed := range d.deeds {
		if !d.fleeting {
			d.look(deed)
		}
		if began, again := vague[deed.call.Key]; deed.vague && (!again || deed.Began < began) {
			vague[deed.call.Key] = deed.Began
		}
		if deed.void {
			continue
		}
		place, again := places[deed.index]
		if deed.index == 0 || !again {
			places[deed.index] = len(all)
			all = append(all, *deed)
			continue
		}
		all[place].Began = min(all[place].Began, deed.Began)
		all[place].Ended = min(all[place].Ended, deed.Ended)
	}
	for i := range all {
		// Somebody else may have asked for it before.
		if began, asked := vague[all[i].call.Key]; asked {
			all[i].Began = min(all[i].Began, began)
		}
	}
	return append(all, d.vague(vague, places)...)
}

// vague gives deeds for the invocations that are none of places: somebody must
// have asked for them under a key, no earlier than began says.
func (d *dossier) vague(began map[string]int64, places map[oplog.Index]int) (all []Deed) {
	for _, index := range d.last.finished {
		call := d.last.accepted[index]
		at, asked := began[call.Key]
		if _, known := places[index]; known || !asked {
			continue
		}
		in, err := integers(json.RawMessage(call.Args))
		if err != nil {
			panic(fmt.Sprintf("sim: arguments that were accepted: %v", err))
		}
		deed := Deed{Worker: d.worker, Function: call.Function, Arg: first(in), Began: at, Ended: never, index: index}
		d.look(&deed)
		all = append(all, deed)
	}
	return all
}

// look finds in the oplog what a client does not know of its own deed.
func (d *dossier) look(deed *Deed) {
	if deed.index == 0 && deed.call.Key != "" {
		uses := d.last.uses[deed.call.Key]
		switch len(uses) {
		case 0:
		case 1:
			deed.index = uses[0]
		default:
			deed.void, deed.vague = true, true
			return
		}
		taken := d.last.accepted[deed.index]
		deed.void = taken == nil || !same(taken.Function, taken.Args, deed.call)
	}
	if deed.index == 0 || deed.void {
		return
	}
	end, ended := d.last.ends[deed.index]
	finished, ok := end.Body.(*oplog.InvocationFinished)
	if deed.void = ended && !ok; !ok {
		return
	}
	out, err := integers(finished.Result)
	if err != nil {
		panic(fmt.Sprintf("sim: a result that was checked: %v", err))
	}
	deed.Result, deed.Known = first(out), true
}

// never is the end of a deed that nobody has seen.
const never = math.MaxInt64
