package sim

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/storage"
)

// member is a worker as it must be.
type member struct {
	name    string
	origin  *member  // of which it is a copy
	keys    []string // of invocations, also of its origin before it was made
	foreign []string // those of them that it must not know
	// inherited is how much of what it has printed its oplog may lack, because it was
	// made with an image of its origin.
	inherited int
	// standings are all that it came to, the newest last. It may not have come to that
	// one yet while a script is under way.
	standings []standing
	// maybe are what a copy may have come to that was made while its origin was at
	// work; nil once somebody has looked.
	maybe   []standing
	deleted bool // or about to be
}

func (m *member) last() standing { return m.standings[len(m.standings)-1] }

// from gives the standing that a worker must have had before it gave results, which
// tell which one that was if nobody knew.
func (m *member) from(results []string) (standing, error) {
	if m.maybe == nil {
		return m.standings[len(m.standings)-2], nil
	}
	for _, s := range m.maybe {
		if results[0] == fmt.Sprint(s.count) {
			m.standings, m.maybe, m.inherited = []standing{s}, nil, len(s.printed)
			return s, nil
		}
	}
	return standing{}, fmt.Errorf("it has counted %s, and its origin had come to one of %+v when it was made", results[0], m.maybe)
}

// examine compares a worker with what it must be.
func (f *Family) examine(ctx context.Context, s familyNode, m *member) error {
	f.note("%s at the end", m.name)
	results, err := f.steps(ctx, s, m.name, "add 0", "read /x", "who")
	if err != nil {
		return err
	}
	if m.maybe != nil {
		_, err = m.from(results)
	}
	if err == nil {
		want := m.last()
		err = (&act{results: []string{fmt.Sprint(want.count), want.content(), m.name}}).compare(results)
	}
	if err != nil {
		return err
	}
	for _, key := range m.foreign {
		v, err := s.Invocation(ctx, relation(m.name), key, false)
		if !isCode(err, api.CodeNoInvocation) {
			return fmt.Errorf("it knows the key %s of its origin: %s, %w", key, told(v), err)
		}
	}
	v, err := s.Worker(ctx, relation(m.name))
	if err != nil {
		return err
	}
	want := ""
	if m.origin != nil {
		want = relation(m.origin.name).String()
	}
	if v.Origin != want {
		return fmt.Errorf("its origin is %q, want %q", v.Origin, want)
	}
	return f.readHistory(ctx, m)
}

// readHistory compares the oplog of a worker with what it has printed, and with that of
// its origin.
func (f *Family) readHistory(ctx context.Context, m *member) error {
	mine, err := recall(ctx, f.logs, m.name)
	if err != nil {
		return err
	}
	all := m.last().printed
	if !strings.HasSuffix(all, mine.printed) || len(mine.printed) < len(all)-m.inherited || mine.first == 1 && mine.printed != all {
		return fmt.Errorf("its oplog says from entry %d on that it has printed %q, want %q", mine.first, mine.printed, all)
	}
	if m.origin == nil || f.members[m.origin.name] != m.origin {
		return nil
	}
	if mine.forked == nil || mine.forked.Origin != relation(m.origin.name) {
		return fmt.Errorf("its oplog says that it is a copy by %+v", mine.forked)
	}
	theirs, err := recall(ctx, f.logs, m.origin.name)
	if err != nil {
		return err
	}
	f.checked.histories++
	for i := mine.first; i < mine.forked.Index; i++ {
		got, want := mine.entries[i], theirs.entries[i]
		if got != want && got != "Create" && got != "Omitted "+strings.Fields(want + " ")[0] {
			return fmt.Errorf("entry %d is %s, and in the origin %s", i, got, want)
		}
	}
	return nil
}

// recollection is what an oplog tells.
type recollection struct {
	first   oplog.Index
	entries map[oplog.Index]string
	forked  *oplog.ForkedAt // the newest
	printed string          // and not taken back
}

func recall(ctx context.Context, logs storage.Logs, name string) (*recollection, error) {
	r := &recollection{entries: map[oplog.Index]string{}}
	lines := map[oplog.Index]string{}
	for e, err := range oplog.Read(ctx, logs, relation(name), 1, 0) {
		if err != nil {
			return nil, err
		}
		if r.first == 0 {
			r.first = e.Index
		}
		r.entries[e.Index] = fmt.Sprintf("%s %+v", oplog.Name(e.Body), e.Body)
		switch b := e.Body.(type) {
		case *oplog.Create:
			r.entries[e.Index] = "Create" // a copy has another seed
		case *oplog.Omitted:
			r.entries[e.Index] = "Omitted " + b.Kind
		case *oplog.Forked:
			r.forked = &oplog.ForkedAt{Index: e.Index, Forked: *b}
		case *oplog.Log:
			lines[e.Index] = string(b.Bytes)
		case *oplog.InvocationFailed:
			maps.DeleteFunc(lines, func(i oplog.Index, _ string) bool { return i > b.Started })
		}
	}
	for _, i := range slices.Sorted(maps.Keys(lines)) {
		r.printed += lines[i]
	}
	return r, nil
}
