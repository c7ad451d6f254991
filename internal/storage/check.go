package storage

import (
	"errors"
	"fmt"
)

// CheckSegment says why no store may take segment, or nil. That its chunks
// continue their workers' logs is for the store to check.
func CheckSegment(segment []Chunk) error {
	if len(segment) == 0 {
		return errors.New("the segment is empty")
	}
	if len(segment) > MaxChunks {
		return fmt.Errorf("the segment has %d chunks, more than %d: %w", len(segment), MaxChunks, ErrTooLarge)
	}
	total := 0
	for _, c := range segment {
		if err := c.Worker.Check(); err != nil {
			return err
		}
		if c.First == 0 || c.Count == 0 || c.Last() < c.First {
			return fmt.Errorf("the chunk of %s has %d entries from %d", c.Worker, c.Count, c.First)
		}
		if len(c.Bytes) > MaxChunk {
			return fmt.Errorf("the chunk of %s has %d bytes, more than %d: %w", c.Worker, len(c.Bytes), MaxChunk, ErrTooLarge)
		}
		total += len(c.Bytes)
	}
	if total > MaxSegment {
		return fmt.Errorf("the segment has %d bytes, more than %d: %w", total, MaxSegment, ErrTooLarge)
	}
	return nil
}

// CheckCell says why no store may take a cell, or nil.
func CheckCell(key string, value []byte) error {
	if key == "" {
		return errors.New("the cell has no key")
	}
	if len(key) > MaxCellKey {
		return fmt.Errorf("the cell's key has %d bytes, more than %d: %w", len(key), MaxCellKey, ErrTooLarge)
	}
	if len(value) > MaxCellValue {
		return fmt.Errorf("cell %q has %d bytes, more than %d: %w", key, len(value), MaxCellValue, ErrTooLarge)
	}
	return nil
}
