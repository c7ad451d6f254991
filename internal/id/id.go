// Package id holds the names that every part of Waterbear shares: workers,
// shards, epochs. It hides nothing and imports nothing of ours, so that any
// package may speak of a worker without knowing what one is.
package id

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
)

// Worker is the durable identity of a worker. It is comparable, so it serves
// as a map key.
type Worker struct {
	Component string // what was deployed; `waterbear run` uses the component "run"
	Name      string // unique within the component
}

// MaxName is the longest component or worker name, in bytes.
const MaxName = 128

// ErrName is what every refusal of a name wraps.
var ErrName = errors.New("invalid name")

// String gives the form people type: component/name.
func (w Worker) String() string { return w.Component + "/" + w.Name }

// Compare orders workers by component, then by name.
func (w Worker) Compare(o Worker) int {
	return cmp.Or(strings.Compare(w.Component, o.Component), strings.Compare(w.Name, o.Name))
}

// Check says why w cannot be used, or nil.
func (w Worker) Check() error {
	if err := CheckName(w.Component); err != nil {
		return fmt.Errorf("component %w", err)
	}
	if err := CheckName(w.Name); err != nil {
		return fmt.Errorf("worker %w", err)
	}
	return nil
}

// ParseWorker reads component/name.
func ParseWorker(s string) (Worker, error) {
	component, name, ok := strings.Cut(s, "/")
	if !ok {
		return Worker{}, fmt.Errorf("%w: worker %q has no \"/\": write component/name", ErrName, s)
	}
	w := Worker{Component: component, Name: name}
	return w, w.Check()
}

// CheckName says why s cannot be a component's or a worker's name, or nil.
// Names are 1 to MaxName bytes of letters, digits and "._:@-", and start with
// a letter or a digit: so they are safe in paths, URLs and shells.
func CheckName(s string) error {
	if s == "" {
		return fmt.Errorf("%w: it is empty", ErrName)
	}
	if len(s) > MaxName {
		return fmt.Errorf("%w: it has %d bytes, more than %d", ErrName, len(s), MaxName)
	}
	for i := range len(s) {
		c := s[i]
		alnum := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if alnum || i > 0 && strings.IndexByte("._:@-", c) >= 0 {
			continue
		}
		return fmt.Errorf("%w: %q has %q at byte %d: use letters, digits and \"._:@-\", the first a letter or a digit", ErrName, s, c, i)
	}
	return nil
}

// Promise is the durable name of a promise.
type Promise struct {
	Worker Worker // that made it
	Name   string // unique within the worker, and not to be guessed
}

// String gives the form people type: component/worker/name.
func (p Promise) String() string { return p.Worker.String() + "/" + p.Name }

// ParsePromise reads component/worker/name.
func ParsePromise(s string) (Promise, error) {
	i := strings.LastIndexByte(s, '/')
	if i < 0 || strings.IndexByte(s, '/') == i {
		return Promise{}, fmt.Errorf("%w: promise %.400q: write component/worker/promise", ErrName, s)
	}
	w, err := ParseWorker(s[:i])
	if err != nil {
		return Promise{}, err
	}
	p := Promise{Worker: w, Name: s[i+1:]}
	if err := CheckName(p.Name); err != nil {
		return Promise{}, fmt.Errorf("promise %w", err)
	}
	return p, nil
}

// Shard is a group of workers that commit together and move together.
type Shard uint32

// Epoch counts the owners a shard has had. Storage refuses an append by an
// older epoch than the newest it has seen.
type Epoch uint64
