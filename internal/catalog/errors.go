package catalog

import (
	"errors"
	"fmt"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/wasm"
)

// programError says why a module cannot be run.
type programError struct{ reason string }

func (e *programError) Error() string { return e.reason }

// failed says what was attempted, in the form for callers.
func failed(what string, err error) error {
	if err == nil {
		return nil
	}
	var problem *api.Problem
	if errors.As(err, &problem) {
		return problem
	}
	var program *programError
	detail := fmt.Sprintf("%s: %v", what, err)
	switch {
	case errors.As(err, &program):
		return api.NewProblem(api.CodeBadProgram, detail)
	case errors.Is(err, wasm.ErrMemoryExhausted):
		return api.NewProblem(api.CodeOverloaded, detail+"; try again when workers need less")
	case errors.Is(err, storage.ErrFull):
		return api.NewProblem(api.CodeDiskFull, detail+"; free some space and try again")
	case errors.Is(err, errClosed), errors.Is(err, storage.ErrClosed), errors.Is(err, wasm.ErrClosed):
		return api.NewProblem(api.CodeStopping, detail)
	case damaged(err):
		return api.NewProblem(api.CodeDamaged, detail)
	}
	return fmt.Errorf("%s: %w", what, err)
}

func noComponent(name string) error {
	return api.NewProblem(api.CodeNoComponent, fmt.Sprintf("there is no component %q: deploy it first", name))
}

// problem says what is damaged, and what can be done.
func (k *entry) problem() error {
	if !k.known() {
		return api.NewProblem(api.CodeDamaged, fmt.Sprintf("the record of component %s cannot be read: %v; delete the component and its workers, deploy under another name, or restore the data directory from a backup", k.Name, k.damage))
	}
	return api.NewProblem(api.CodeDamaged, fmt.Sprintf("revision %d of %s cannot be read: %v; deploy again to make another", k.Latest, k.Name, k.damage))
}
