package wasm

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The format of a reference, which docs/IMAGES.md describes.
const (
	referenceMagic   = "WBRF"
	referenceVersion = 1
)

// WriteTo writes the reference down, as what differs from the memory that an
// instance of its module begins with.
func (r *Reference) WriteTo(w io.Writer) (int64, error) {
	out := &counter{w: bufio.NewWriter(w)}
	out.Write(append([]byte(referenceMagic), referenceVersion))
	out.Write(r.module.base.hash[:])
	out.numbers(r.size, uint64(len(r.globals)))
	out.numbers(r.globals...)
	at, base := uint64(0), r.module.base
	for page := range occupied(base, r.image).each {
		from := uint64(page) * PageSize
		is := r.image.page(from)
		var changed spans
		changed.add(from, base.page(from), is)
		for _, s := range changed.all {
			out.numbers(s.from-at, s.to-s.from)
			out.Write(is[s.from-from : s.to-from])
			at = s.to
		}
	}
	out.numbers(0, 0)
	out.Write(r.hash[:])
	if err := out.w.Flush(); err != nil {
		return out.n, fmt.Errorf("write a reference: %w", err)
	}
	return out.n, nil
}

// counter counts what is written. Errors show at the end.
type counter struct {
	w *bufio.Writer
	n int64
}

func (c *counter) Write(p []byte) {
	n, _ := c.w.Write(p)
	c.n += int64(n)
}

func (c *counter) numbers(values ...uint64) {
	for _, v := range values {
		c.Write(binary.AppendUvarint(nil, v))
	}
}

// ReadReference reads what WriteTo has written of a module with the same base,
// to the end of r. Whatever is there, it is the same reference or an error.
func (m *Module) ReadReference(r io.Reader) (*Reference, error) {
	s := m.NewSaved()
	x, err := readReference(s, bufio.NewReader(r))
	if err = errors.Join(err, s.Close()); err != nil {
		return nil, fmt.Errorf("read a reference: %w", err)
	}
	return x, nil
}

func readReference(s *Saved, r *bufio.Reader) (*Reference, error) {
	head := make([]byte, len(referenceMagic)+1+sha256.Size)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	base := s.module.base
	switch magic, version := string(head[:len(referenceMagic)]), head[len(referenceMagic)]; {
	case magic != referenceMagic:
		return nil, errors.New("it is none")
	case version != referenceVersion:
		return nil, fmt.Errorf("it has format %d, and this version knows %d", version, referenceVersion)
	case !bytes.Equal(head[len(referenceMagic)+1:], base.hash[:]):
		return nil, errors.New("it is one of another module")
	}
	if err := readSize(s, r); err != nil {
		return nil, err
	}
	if err := readRuns(s, r); err != nil {
		return nil, err
	}
	var want [sha256.Size]byte
	if _, err := io.ReadFull(r, want[:]); err != nil {
		return nil, err
	}
	if _, err := r.ReadByte(); !errors.Is(err, io.EOF) {
		return nil, errors.Join(err, errors.New("it does not end where it should"))
	}
	x, err := s.reference()
	if err == nil && x.hash != want {
		return nil, errors.Join(errors.New("it is damaged: its hash is another"), x.Close())
	}
	return x, err
}

// readSize reads the size of the memory, and the globals.
func readSize(s *Saved, r *bufio.Reader) error {
	size, err := binary.ReadUvarint(r)
	if err != nil {
		return err
	}
	if err := s.Resize(size); err != nil {
		return err
	}
	count, err := binary.ReadUvarint(r)
	if err != nil {
		return err
	}
	if count != uint64(len(s.module.globals)) {
		return fmt.Errorf("it has %d globals, and the module %d", count, len(s.module.globals))
	}
	globals := make([]uint64, count)
	for i := range globals {
		if globals[i], err = binary.ReadUvarint(r); err != nil {
			return err
		}
	}
	return s.SetGlobals(globals)
}

// readRuns reads what differs from the base.
func readRuns(s *Saved, r *bufio.Reader) error {
	buf := make([]byte, PageSize)
	for at, total := uint64(0), uint64(0); ; {
		gap, err := binary.ReadUvarint(r)
		if err != nil {
			return err
		}
		length, err := binary.ReadUvarint(r)
		if err != nil {
			return err
		}
		if gap == 0 && length == 0 {
			return nil
		}
		if total += length; length == 0 || length > PageSize || total > MaxReference || gap > s.size-at {
			return fmt.Errorf("it has %d bytes, %d after those that end at %d", length, gap, at)
		}
		p := buf[:length]
		if _, err := io.ReadFull(r, p); err != nil {
			return err
		}
		if err := s.Write(at+gap, p); err != nil {
			return err
		}
		at += gap + length
	}
}
