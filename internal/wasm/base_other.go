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

// sparse tells whether what is left out of a file in dir takes no space.
func sparse(string) bool { return true }

func prepare([]byte) {}

// discard forgets what was written to the memory, and tells whether it shows its
// base image then.
func (m *linearMemory) discard() (kept bool, err error) { return false, nil }

// newStateFile makes an empty file for states.
func newStateFile(dir string) (stateDisk, error) { return scratchFile(dir) }

// punch gives the space of a part of a file back.
func punch(stateDisk, int64, int64) error { return errors.ErrUnsupported }
