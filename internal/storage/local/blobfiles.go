package local

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"path"
	"sync/atomic"

	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/vfs"
)

// blobFiles keeps large blobs, each in a file that is named by its hash. A file
// gets its name when it is whole and durable.
type blobFiles struct {
	disk vfs.FS
	dir  string
	made atomic.Uint64 // names that were given to incoming blobs
}

// incoming is where blobs are while they are written.
func (f *blobFiles) incoming() string { return path.Join(f.dir, "incoming") }

// sweep removes what crashed puts left.
func (f *blobFiles) sweep() error {
	names, err := f.disk.List(f.incoming())
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := f.disk.Remove(path.Join(f.incoming(), name)); err != nil {
			return err
		}
	}
	return nil
}

func (f *blobFiles) place(h storage.Hash) (dir, name string) {
	digits := h.String()
	dir = path.Join(f.dir, digits[:2])
	return dir, path.Join(dir, digits[2:])
}

// put stores what r gives and says which directory has to be synced for the
// blob to be durable.
func (f *blobFiles) put(ctx context.Context, r io.Reader, buffer []byte) (storage.Blob, string, error) {
	temporary := path.Join(f.incoming(), fmt.Sprint(f.made.Add(1)))
	file, err := f.disk.Create(temporary)
	if err != nil {
		return storage.Blob{}, f.dir, err
	}
	blob, err := fill(ctx, file, r, buffer)
	dir, name := f.place(blob.Hash)
	if err == nil && f.whole(blob, name, buffer) {
		// Its name may not be durable yet if it is new.
		return blob, dir, errors.Join(file.Close(), f.disk.Remove(temporary))
	}
	if err == nil {
		err = file.Sync()
	}
	err = errors.Join(err, file.Close())
	if err == nil {
		err = f.disk.MkdirAll(dir)
	}
	if err == nil {
		err = f.disk.Rename(temporary, name)
	}
	if err != nil {
		return blob, f.dir, errors.Join(err, f.disk.Remove(temporary))
	}
	return blob, dir, nil
}

// fill writes what r gives.
func fill(ctx context.Context, file vfs.File, r io.Reader, buffer []byte) (storage.Blob, error) {
	sum := sha256.New()
	size := int64(0)
	for {
		if ctx.Err() != nil {
			return storage.Blob{}, context.Cause(ctx)
		}
		n, err := io.ReadFull(r, buffer)
		sum.Write(buffer[:n])
		if _, err := file.WriteAt(buffer[:n], size); err != nil {
			return storage.Blob{}, err
		}
		size += int64(n)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return storage.Blob{Hash: storage.Hash(sum.Sum(nil)), Size: size}, nil
		}
		if err != nil {
			return storage.Blob{}, err
		}
	}
}

// whole says whether the blob is there already and as it should be.
func (f *blobFiles) whole(blob storage.Blob, name string, buffer []byte) bool {
	r, err := f.open(blob.Hash)
	if err != nil {
		return false
	}
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, r, buffer)
	return errors.Join(err, r.Close()) == nil && n == blob.Size
}

// open gives a reader that checks what it reads.
func (f *blobFiles) open(h storage.Hash) (io.ReadCloser, error) {
	_, name := f.place(h)
	file, err := f.disk.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("blob %s: %w", h, storage.ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("blob %s: %w", h, err)
	}
	return &blobReader{file: file, name: name, want: h, sum: sha256.New()}, nil
}

func (f *blobFiles) remove(h storage.Hash) error {
	_, name := f.place(h)
	if err := f.disk.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// firstBytes gives the bytes that hashes may begin with.
func (f *blobFiles) firstBytes() ([]byte, error) {
	names, err := f.disk.List(f.dir)
	var firsts []byte
	for _, name := range names {
		if b, err := hex.DecodeString(name); err == nil && len(b) == 1 {
			firsts = append(firsts, b[0])
		}
	}
	return firsts, err
}

// list gives the blobs whose hashes begin with the hex digits of dir.
func (f *blobFiles) list(dir string) ([]storage.Hash, error) {
	names, err := f.disk.List(path.Join(f.dir, dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var hashes []storage.Hash
	for _, name := range names {
		b, err := hex.DecodeString(dir + name)
		if err == nil && len(b) == len(storage.Hash{}) {
			hashes = append(hashes, storage.Hash(b))
		}
	}
	return hashes, err
}

var errHash = errors.New("the content does not have that hash")

// blobReader reads a blob in order and compares the hash at the end.
type blobReader struct {
	file   vfs.File
	name   string
	offset int64
	want   storage.Hash
	sum    hash.Hash
}

func (r *blobReader) Read(p []byte) (int, error) {
	n, err := r.file.ReadAt(p, r.offset)
	r.offset += int64(n)
	r.sum.Write(p[:n])
	switch {
	case err == nil || n > 0 && errors.Is(err, io.EOF):
		return n, nil
	case !errors.Is(err, io.EOF):
		return n, r.corrupt(err)
	case storage.Hash(r.sum.Sum(nil)) != r.want:
		return n, r.corrupt(errHash)
	}
	return n, io.EOF
}

func (r *blobReader) corrupt(cause error) error {
	return fmt.Errorf("blob %s: %w", r.want, &storage.CorruptError{Where: r.name, Cause: cause})
}

func (r *blobReader) Close() error { return r.file.Close() }
