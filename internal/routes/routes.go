// Package routes keeps the routes of a node, durably: which requests lead to
// which workers. They are one cell (docs/CATALOG.md), so that a change of many
// holds at once or not at all. What a route means is internal/gateway's.
package routes

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/sched"
	"github.com/waterbear-run/waterbear/internal/storage"
)

// Max bounds how many routes a node has.
const Max = 1000

// key is that of the cell, and format the version of what is in it.
const (
	key    = "routes"
	format = 1
)

// record is the stored form.
type record struct {
	Format int         `json:"format"`
	Routes []api.Route `json:"routes"`
}

// Store is the routes of a node. Its methods may be called by any number of
// tasks. Errors are an *api.Problem where the caller is at fault or can do
// something.
type Store struct {
	cells storage.Cells
	turn  sched.Condition // of changing

	mu       sync.Mutex
	changing bool // somebody is, one at a time
	list     []api.Route
	version  uint64 // of the cell
	damage   error  // why list is not known
	unclear  bool   // a change has failed, and nobody knows whether it was made
}

// Open reads the routes. If they are damaged, there are none until they are set
// anew, all of them.
func Open(ctx context.Context, s sched.Scheduler, cells storage.Cells) (*Store, error) {
	r := &Store{cells: cells, turn: s.NewCondition()}
	return r, r.read(ctx)
}

// read takes over what the store has.
func (s *Store) read(ctx context.Context) error {
	text, version, err := s.cells.Get(ctx, key)
	var list []api.Route
	if err == nil {
		list, err = decode(text)
	}
	var corrupt *storage.CorruptError
	var damage error
	switch {
	case errors.Is(err, storage.ErrNotFound):
		version = 0
	case errors.As(err, &corrupt):
		damage = err
	case err != nil:
		return fmt.Errorf("read the routes: %w", err)
	}
	s.set(list, version, damage)
	return nil
}

func (s *Store) set(list []api.Route, version uint64, damage error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list, s.version, s.damage, s.unclear = list, version, damage, false
}

// decode reads the cell. What is wrong with it otherwise than by its format is
// damage: this program does not write such.
func decode(text []byte) ([]api.Route, error) {
	var r record
	err := json.Unmarshal(text, &r)
	if err == nil && r.Format > format {
		return nil, fmt.Errorf("cell %s has format %d, and this program knows %d: %w", key, r.Format, format, storage.ErrNewerFormat)
	}
	if err == nil && r.Format < 1 {
		err = fmt.Errorf("there is no format %d", r.Format)
	}
	if err != nil {
		return nil, &storage.CorruptError{Where: "cell " + key, Cause: err}
	}
	return r.Routes, nil
}

// List gives all routes, by name. They are shared, and not to be changed.
func (s *Store) List() ([]api.Route, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.damage != nil {
		return nil, api.NewProblem(api.CodeDamaged, fmt.Sprintf("the routes cannot be read: %v; set all of them anew (`waterbear route apply FILE`), or restore the data directory from a backup", s.damage))
	}
	return s.list, nil
}

// ErrUnchanged is what an edit gives that leaves everything as it is.
var ErrUnchanged = errors.New("the routes stay as they are")

// Change replaces the routes by what edit makes of them, whose order does not
// matter, and then tells hold, before anybody else can change them. If edit
// fails, nothing is changed. Routes that are damaged can only be replaced, which
// is what anew says: edit is given none.
func (s *Store) Change(ctx context.Context, anew bool, edit func(now []api.Route) ([]api.Route, error), hold func([]api.Route) error) error {
	yield, err := s.take(ctx)
	if err != nil {
		return err
	}
	defer yield()
	s.mu.Lock()
	unclear := s.unclear
	s.mu.Unlock()
	if unclear {
		if err := s.read(ctx); err != nil {
			return failed(err)
		}
	}
	now, err := s.List()
	if err != nil && !anew {
		return err
	}
	next, err := edit(slices.Clone(now))
	if errors.Is(err, ErrUnchanged) {
		return nil
	}
	if err != nil {
		return err
	}
	slices.SortFunc(next, func(a, b api.Route) int { return strings.Compare(a.Name, b.Name) })
	if err := s.write(ctx, next); err != nil {
		return err
	}
	return hold(next)
}

// write makes routes durable. If the outcome is not known, it looks.
func (s *Store) write(ctx context.Context, next []api.Route) error {
	if len(next) > Max {
		return api.NewProblem(api.CodeTooLarge, fmt.Sprintf("these are %d routes, and a node has at most %d: remove some, or take wildcards for those that are alike", len(next), Max))
	}
	text, err := json.Marshal(record{Format: format, Routes: next})
	if err != nil {
		return fmt.Errorf("encode the routes: %w", err)
	}
	if len(text) > storage.MaxCellValue {
		return api.NewProblem(api.CodeTooLarge, fmt.Sprintf("the routes have %d bytes together, more than %d: remove some", len(text), storage.MaxCellValue))
	}
	s.mu.Lock()
	version, damage := s.version, s.damage
	s.mu.Unlock()
	if damage != nil && version == 0 {
		return api.NewProblem(api.CodeDamaged, fmt.Sprintf("neither the routes nor their place can be read: %v; restore the data directory from a backup", damage))
	}
	version, err = s.cells.Put(ctx, key, version, text)
	if err != nil {
		found, foundVersion, getErr := s.cells.Get(context.WithoutCancel(ctx), key)
		if getErr != nil || !bytes.Equal(found, text) {
			s.mu.Lock()
			s.unclear = true
			s.mu.Unlock()
			return failed(err)
		}
		version = foundVersion
	}
	s.set(next, version, nil)
	return nil
}

func failed(err error) error {
	if errors.Is(err, storage.ErrFull) {
		return api.NewProblem(api.CodeDiskFull, fmt.Sprintf("change the routes: %v; free some space and try again", err))
	}
	return fmt.Errorf("change the routes: %w", err)
}

// take waits until nobody else changes the routes and keeps others from it until
// yield is called.
func (s *Store) take(ctx context.Context) (yield func(), err error) {
	err = s.turn.Wait(ctx, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.changing {
			return false
		}
		s.changing = true
		return true
	})
	if err != nil {
		return nil, err
	}
	return func() {
		s.mu.Lock()
		s.changing = false
		s.mu.Unlock()
		s.turn.Wake()
	}, nil
}
