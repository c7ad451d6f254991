package platform

import (
	"github.com/waterbear-run/waterbear/internal/durable"
	"github.com/waterbear-run/waterbear/wit"
)

// The bounds of a page of history.
const (
	MaxPage      = 100      // entries
	MaxPageBytes = 96 << 10 // of them, about
	MaxEntryJSON = 32 << 10 // bytes of one; a longer one is left empty
	MaxScanned   = 10_000   // entries that are read for a page
	MaxKinds     = 100      // that can be named
)

// Page is some entries of an oplog.
type Page struct {
	Entries []Entry
	Next    uint64 // where to go on; 0: nothing is left
}

// Entry is one of them.
type Entry struct {
	Index, At  uint64
	Kind, JSON string
}

const codeEntries = 110

func historyInterface() interfaceOf {
	return interfaceOf{name: "history", functions: []function{
		{name: "entries", code: codeEntries, effect: durable.ReadLocal, call: entries},
	}}
}

func entries(s *System, a []wit.Value) (wit.Value, error) {
	var kinds []string
	for _, k := range a[2].([]wit.Value) {
		if len(kinds) < MaxKinds {
			kinds = append(kinds, k.(string))
		}
	}
	p, err := s.Control.Entries(s.Session.Context(), a[0].(uint64), a[1].(uint64), kinds)
	if err != nil {
		return nil, err
	}
	list := make([]wit.Value, len(p.Entries))
	for i, e := range p.Entries {
		list[i] = []wit.Value{e.Index, e.At, e.Kind, e.JSON}
	}
	return []wit.Value{list, p.Next}, nil
}
