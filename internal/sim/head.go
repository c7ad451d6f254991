package sim

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/waterbear-run/waterbear/api"
)

// head is a client who does one errand after the other, with workers that nobody else
// calls: so it knows at every time what they must have come to.
type head struct {
	random *rand.Rand
	number int
	own    []string // its workers, first its founder
	done   int
	made   int      // names
	free   []string // of workers that it has deleted
	errand *errand
}

// errand is something that a client wants to be done, whatever processes end meanwhile.
type errand struct {
	member *member
	script []string // of an invocation
	key    string
	copied string // by hand, if not ""
	since  int    // the first standing that the copy by hand may have
	doubt  bool   // the copy may have been made already
	remove bool   // the member
	acts   []act  // of copies whose end is to be compared; nil until the original has ended
}

// work does errands until all are done, or ctx is.
func (f *Family) work(ctx context.Context, h *head, s familyNode) {
	for h.done < familyWork && ctx.Err() == nil && f.broke == nil {
		if h.errand == nil {
			h.errand = f.draw(h)
			f.note("client %d: %q %s, by hand %q, remove %t", h.number, h.errand.script, h.errand.member.name, h.errand.copied, h.errand.remove)
		}
		if !f.advance(ctx, h, s) {
			_ = f.sim.Sleep(ctx, time.Second) // and try the same again
			continue
		}
		h.done++
		h.errand = nil
	}
}

// advance reports whether the errand is done.
func (f *Family) advance(ctx context.Context, h *head, s familyNode) bool {
	switch e := h.errand; {
	case e.copied != "":
		return f.copyByHand(ctx, h, s)
	case e.remove:
		err := s.Delete(ctx, relation(e.member.name))
		if err != nil && !isCode(err, api.CodeNoWorker) || f.sim.Crashed() {
			return false
		}
		delete(f.past.chunks, relation(e.member.name))
		h.free = append(h.free, e.member.name)
		return true
	case e.acts == nil:
		return f.invoke(ctx, h, s) && len(e.acts) == 0
	}
	return f.awaitCopies(ctx, h, s)
}

// name gives a name for a copy that nobody has, perhaps that of a worker that was deleted.
func (f *Family) name(h *head) string {
	if n := len(h.free); n > 0 {
		name := h.free[n-1]
		if !slices.ContainsFunc(f.heads, func(h *head) bool { return h.errand != nil && h.errand.member.name == name }) {
			h.free = h.free[:n-1]
			return name
		}
	}
	h.made++
	name := fmt.Sprintf("copy-%d-%d", h.number, h.made)
	f.names = append(f.names, name)
	return name
}

// draw chooses the next errand.
func (f *Family) draw(h *head) *errand {
	r := h.random
	m := f.members[h.own[r.IntN(len(h.own))]]
	if m.maybe != nil {
		return f.ask(h, m, []string{"add 0", "read /x"})
	}
	switch n := r.IntN(10); {
	case n == 0 && len(h.own) > 1 && !strings.HasPrefix(m.name, contested):
		h.own = slices.DeleteFunc(h.own, func(name string) bool { return name == m.name })
		m.deleted = true
		delete(f.members, m.name)
		return &errand{member: m, remove: true}
	case n < 3:
		if r.IntN(2) == 0 { // of anybody's, who may be at work
			all := slices.Sorted(maps.Keys(f.members))
			if other := f.members[all[r.IntN(len(all))]]; other.maybe == nil {
				m = other
			}
		}
		since := len(m.standings) - 1
		if since > 0 && f.busy(m) {
			since--
		}
		return &errand{member: m, copied: f.name(h), since: since}
	}
	return f.ask(h, m, f.script(h, m))
}

// busy reports whether a script of a worker may be under way.
func (f *Family) busy(m *member) bool {
	return slices.ContainsFunc(f.heads, func(h *head) bool {
		return h.errand != nil && h.errand.member == m && h.errand.script != nil && h.errand.acts == nil
	})
}

// ask is an errand to let a worker do a script.
func (f *Family) ask(h *head, m *member, script []string) *errand {
	e := &errand{member: m, script: script, key: fmt.Sprintf("key-%d-%d", h.number, h.done)}
	if m.maybe == nil {
		all := play(script, m.name, m.last(), func(string) bool { return false })
		m.standings = append(m.standings, all[0].now)
	}
	return e
}

// script draws what a worker is to do: something, a fork, and more in both or in one of
// the two.
func (f *Family) script(h *head, m *member) []string {
	r := h.random
	something := func() string {
		switch n := r.IntN(8); {
		case n == 0:
			return fmt.Sprintf("write /x %d", r.IntN(1000))
		case n == 1:
			return "read /x"
		case n == 2:
			return fmt.Sprintf("print %d", r.IntN(1000))
		case n == 3:
			return fmt.Sprintf("sleep %d", magnitude(r, 0, 3.7))
		case n == 4:
			return "key"
		case n == 5 && !f.retention.Results.Limited(): // else it may forget whom it has answered
			return fmt.Sprintf("invoke %s/%s add [1]", trading, treasury)
		}
		return fmt.Sprintf("add %d", 1+r.IntN(9))
	}
	script := []string{fmt.Sprintf("add %d", 1+r.IntN(9))}
	for range r.IntN(4) {
		script = append(script, something())
	}
	if r.IntN(5) == 0 {
		return append(script, "who")
	}
	copied := fmt.Sprint(contested, r.IntN(3))
	contest := r.IntN(4) == 0 && copied != m.name
	if contest {
		f.wants[copied] = append(f.wants[copied], h)
		if !slices.Contains(f.names, copied) {
			f.names = append(f.names, copied)
		}
	} else {
		copied = f.name(h)
	}
	promises := !contest && r.IntN(3) == 0
	if promises {
		script = append(script, "promise")
	}
	script = append(script, "fork "+copied)
	for range r.IntN(6) {
		who := []string{"", "as " + m.name + " ", "as " + copied + " "}[r.IntN(3)]
		script = append(script, who+something())
	}
	switch {
	case contest:
	case r.IntN(3) == 0:
		script = append(script, "as "+copied+" fork "+f.name(h), something())
	case r.IntN(4) == 0:
		script = append(script, "as "+m.name+" trap-before 2")
	}
	switch {
	case promises:
		script = append(script, "as "+copied+" complete "+completion, "wait")
	case r.IntN(4) == 0 && !slices.ContainsFunc(script, func(s string) bool { return strings.Contains(s, "invoke") }):
		script = append(script, "fail-as "+copied) // what it has been answered nobody could tell
	}
	return append(script, "who")
}

// invoke sends the script, and compares what the original gives.
func (f *Family) invoke(ctx context.Context, h *head, s familyNode) bool {
	e := h.errand
	args, err := json.Marshal([]any{e.script})
	if err != nil {
		panic(fmt.Sprintf("sim: marshal a script: %v", err))
	}
	v, err := s.Invoke(ctx, relation(e.member.name), api.Call{Function: "steps", Args: args, Key: e.key})
	if f.sim.Crashed() || err != nil {
		return false
	}
	f.note("%s is told %s %s %+v", e.key, v.State, v.Result, v.Failure)
	var out [1][]string
	if err := json.Unmarshal(v.Result, &out); v.State != api.StateFinished || err != nil {
		_ = f.broken("%s of %s ended as %s %s: %+v", e.key, e.member.name, v.State, v.Result, v.Failure)
		return false
	}
	m := e.member
	from, err := m.from(out[0])
	if err != nil {
		_ = f.broken("%s: %w", m.name, err)
		return false
	}
	all := play(e.script, m.name, from, func(name string) bool {
		return strings.HasPrefix(name, contested) && slices.Contains(out[0], exists(name))
	})
	if err := f.judge(e, &all[0], out[0]); err != nil {
		_ = f.broken("%s of %s: %w", e.key, m.name, err)
		return false
	}
	f.refused(h, out[0])
	for _, a := range all[1:] {
		if there := f.members[a.worker]; there != nil {
			_ = f.broken("a copy %s is made of %s, and there is one before: %+v", a.worker, a.origin, *there)
			return false
		}
		origin := m
		if a.origin != m.name {
			origin = f.members[a.origin]
		}
		f.checked.forked++
		f.members[a.worker] = &member{
			name: a.worker, origin: origin, inherited: len(a.before.printed), standings: []standing{a.now},
			foreign: slices.Clone(m.keys), keys: append(slices.Clone(m.keys), e.key),
		}
		h.own = append(h.own, a.worker)
	}
	m.keys = append(m.keys, e.key)
	e.acts = all[1:]
	return true
}

// judge compares results with what they have to be, and takes what programs were given.
func (f *Family) judge(e *errand, a *act, results []string) error {
	if err := a.compare(results); err != nil {
		return err
	}
	for i, want := range a.results {
		switch place := fmt.Sprintf("step %d of %s by %s", i+1, e.key, a.doers[i]); {
		case want == anyKey && f.keys[results[i]] != "" && f.keys[results[i]] != place:
			return fmt.Errorf("the key of %s is that of %s", place, f.keys[results[i]])
		case want == anyKey:
			f.keys[results[i]] = place
		case want == anyAnswer && a.doers[i] == a.worker && paid(results[i]):
			f.total++
		}
	}
	return nil
}

// refused takes that the client's worker got no contested name, which another must have.
func (f *Family) refused(h *head, results []string) {
	for name, wants := range f.wants {
		if !slices.Contains(results, exists(name)) {
			continue
		}
		f.checked.refused++
		i := slices.Index(wants, h)
		if f.wants[name] = slices.Delete(wants, i, i+1); len(wants) == 1 {
			_ = f.broken("the name %s is refused, and nobody else wants it", name)
		}
	}
}

// awaitCopies compares what copies give.
func (f *Family) awaitCopies(ctx context.Context, h *head, s familyNode) bool {
	e := h.errand
	for len(e.acts) > 0 {
		a := &e.acts[0]
		v, err := s.Invocation(ctx, relation(a.worker), e.key, true)
		switch {
		case f.sim.Crashed():
			return false
		case isCode(err, api.CodeNoWorker, api.CodeNoInvocation, api.CodeExpired):
			_ = f.broken("%s was told that there is a copy %s, which says of %s: %w", a.origin, a.worker, e.key, err)
			return false
		case err != nil || !v.State.Done():
			return false
		}
		f.note("%s of %s: %s %s %+v", e.key, a.worker, v.State, v.Result, v.Failure)
		var out [1][]string
		switch {
		case a.failed && v.State != api.StateFailed:
			err = fmt.Errorf("it is to fail")
		case a.failed:
		case v.State != api.StateFinished:
			err = fmt.Errorf("it is to finish")
		default:
			if err = json.Unmarshal(v.Result, &out); err == nil {
				err = f.judge(e, a, out[0])
			}
		}
		if err != nil {
			_ = f.broken("%s of %s ended as %s %s %+v: %w", e.key, a.worker, v.State, v.Result, v.Failure, err)
			return false
		}
		e.acts = e.acts[1:]
	}
	return true
}

// copyByHand lets a copy be made, unless the original is at work or gone.
func (f *Family) copyByHand(ctx context.Context, h *head, s familyNode) bool {
	e, doubt, known := h.errand, h.errand.doubt, len(h.errand.member.standings) > 2
	e.doubt = true
	name, err := s.Fork(ctx, relation(e.member.name), e.copied)
	if f.sim.Crashed() {
		return false
	}
	f.note("the copy %s of %s by hand: %v, %v", e.copied, e.member.name, name, err)
	switch {
	case err == nil:
	case !isCode(err, api.CodeWorkerExists, api.CodeWorkerBusy, api.CodeNoWorker, api.CodeInvalid, api.CodeTooLarge):
		return false
	case !doubt && !isCode(err, api.CodeWorkerBusy, api.CodeNoWorker):
		_ = f.broken("the copy %s of %s by hand: %w", e.copied, e.member.name, err)
		return false
	default:
		// It may have been made when nobody was told.
		v, looked := s.Worker(ctx, relation(e.copied))
		there := looked == nil && v.Origin == relation(e.member.name).String()
		switch {
		case f.sim.Crashed() || looked != nil && !isCode(looked, api.CodeNoWorker):
			return false
		case !doubt && looked == nil:
			_ = f.broken("%s was not made, as was said, and is there: %+v", e.copied, v)
			return false
		case !there && !isCode(err, api.CodeWorkerBusy, api.CodeNoWorker), !there && isCode(err, api.CodeNoWorker) && known && !e.member.deleted:
			_ = f.broken("there is no copy %s of %s, and yet: %w", e.copied, e.member.name, err)
			return false
		case !there:
			return true
		}
	}
	m := e.member
	f.checked.byHand++
	f.members[e.copied] = &member{
		name: e.copied, origin: m, maybe: slices.Clone(m.standings[e.since:]), foreign: slices.Clone(m.keys), keys: slices.Clone(m.keys),
	}
	h.own = append(h.own, e.copied)
	return true
}
