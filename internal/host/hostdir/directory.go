package hostdir

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/waterbear-run/waterbear/internal/durable"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/storage"
)

// place names a path below one of the worker's directories.
type place struct {
	Directory uint64 // its number in the Create entry
	Path      string
}

var placeCodec = durable.Codec[place]{
	Append: func(b []byte, p place) []byte { return append(binary.AppendUvarint(b, p.Directory), p.Path...) },
	Decode: func(b []byte) (place, error) {
		directory, n := binary.Uvarint(b)
		if n <= 0 {
			return place{}, errLength
		}
		return place{directory, string(b[n:])}, nil
	},
	Show: func(p place) string { return fmt.Sprintf("%q of directory %d", p.Path, p.Directory) },
}

// loaded is a file's content, kept as a blob, or why there is none.
type loaded struct {
	Failure failure
	Hash    storage.Hash
	Size    uint64
}

type failure byte

const (
	none failure = iota
	gone
	forbidden
	broken
)

func (f failure) err() error {
	return [...]error{none: nil, gone: errGone, forbidden: errPermission, broken: errIO}[f]
}

func failureOf(err error) failure {
	switch {
	case errors.Is(err, errGone):
		return gone
	case errors.Is(err, errPermission):
		return forbidden
	}
	return broken
}

var errLength = errors.New("the recorded value has the wrong length")

var load = durable.Func[place, loaded]{
	Code: codeLoad, Name: "directory.load", Effect: durable.ReadLocal, Request: placeCodec,
	Response: durable.Codec[loaded]{
		Append: func(b []byte, l loaded) []byte {
			return binary.AppendUvarint(append(append(b, byte(l.Failure)), l.Hash[:]...), l.Size)
		},
		Decode: func(b []byte) (l loaded, err error) {
			if len(b) < 1+len(l.Hash)+1 || b[0] > byte(broken) {
				return l, errLength
			}
			l.Failure = failure(b[0])
			copy(l.Hash[:], b[1:])
			l.Size, err = durable.Uint64Codec.Decode(b[1+len(l.Hash):])
			return l, err
		},
		Show: func(l loaded) string {
			if l.Failure != none {
				return l.Failure.err().Error()
			}
			return fmt.Sprintf("%d bytes, blob %s", l.Size, l.Hash)
		},
	},
}

// writing is what is written back, by number and hash of its steps.
type writing struct {
	Directory uint64
	Steps     uint64
	Sum       [sha256.Size]byte
}

var apply = durable.Func[writing, durable.None]{
	Code: codeApply, Name: "directory.apply", Effect: durable.WriteRemote,
	Request: durable.Codec[writing]{
		Append: func(b []byte, w writing) []byte {
			return append(binary.AppendUvarint(binary.AppendUvarint(b, w.Directory), w.Steps), w.Sum[:]...)
		},
		Decode: func(b []byte) (w writing, err error) {
			directory, n := binary.Uvarint(b)
			if n <= 0 {
				return w, errLength
			}
			steps, m := binary.Uvarint(b[n:])
			if m <= 0 || len(b) != n+m+sha256.Size {
				return w, errLength
			}
			return writing{directory, steps, [sha256.Size]byte(b[n+m:])}, nil
		},
		Show: func(w writing) string { return fmt.Sprintf("%d changes of directory %d", w.Steps, w.Directory) },
	},
	Response: durable.NoneCodec,
}

// Shown is a host directory as one instance of a worker has it.
type Shown struct {
	Session *durable.Session
	Host    Host // nil for a session that only replays
	Blobs   storage.Blobs
	Number  uint64 // of the directory in the Create entry
	Root    string // on the host
}

// Load gives the content of the file at path, recorded when it is first asked
// for. What kept the host from reading it is seen, for the program: it wraps
// fs.ErrNotExist or fs.ErrPermission, or neither. err is for what ends the
// session.
func (d *Shown) Load(path string) (content io.ReadCloser, seen, err error) {
	l, err := durable.Run(d.Session, &load, place{d.Number, path}, d.perform)
	if err != nil {
		return nil, nil, err
	}
	if l.Failure != none {
		return nil, l.Failure.err(), nil
	}
	content, err = d.Blobs.Get(d.Session.Context(), l.Hash)
	if err != nil {
		return nil, nil, fmt.Errorf("read the recorded content of %s: %w", path, err)
	}
	return content, nil, nil
}

func (d *Shown) perform(ctx context.Context, p place) (loaded, error) {
	f, err := d.Host.Open(d.Root, p.Path)
	if err != nil {
		return loaded{Failure: failureOf(err)}, nil
	}
	defer f.Close()
	source := &noting{Reader: f}
	h, n, err := d.Blobs.Put(ctx, source)
	if source.err != nil {
		return loaded{Failure: failureOf(source.err)}, nil
	}
	if err != nil {
		return loaded{}, fmt.Errorf("keep the content of %s: %w", p.Path, err)
	}
	return loaded{Hash: h, Size: uint64(n)}, nil
}

// Apply makes the changes on the host, once. sum is what tells them from any
// other changes.
func (d *Shown) Apply(changes []Change, sum [sha256.Size]byte) error {
	_, err := durable.Run(d.Session, &apply, writing{d.Number, uint64(len(changes)), sum}, func(ctx context.Context, _ writing) (durable.None, error) {
		return durable.None{}, d.Host.Apply(ctx, d.Root, changes)
	})
	return err
}

// noting keeps the error of reading a file apart from those of keeping it.
type noting struct {
	io.Reader
	err error
}

func (r *noting) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
	}
	return n, err
}

// Content is the blob that a recorded call of this package refers to, if it
// does.
func Content(c *oplog.HostCall) (h storage.Hash, ok bool) {
	if c.Func != load.Code {
		return h, false
	}
	l, err := load.Response.Decode(c.Response)
	return l.Hash, err == nil && l.Failure == none
}
