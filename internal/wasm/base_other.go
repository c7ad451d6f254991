//go:build !linux

package wasm

import (
	"errors"
	"os"
)

// newBaseFile makes the file of a base image.
func newBaseFile(dir string, fill func(*os.File) error) (*os.File, error) {
	return namelessFile(dir, fill)
}

func prepare([]byte) {}

// discard forgets what was written to the memory, and tells whether it shows its
// base image then.
func (m *linearMemory) discard() (kept bool, err error) { return false, nil }

// newStateFile makes an empty file for states.
func newStateFile(dir string) (*os.File, error) { return scratchFile(dir) }

// punch gives the space of a part of a file back.
func punch(*os.File, int64, int64) error { return errors.ErrUnsupported }
