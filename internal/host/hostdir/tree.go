package hostdir

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"

	"github.com/waterbear-run/waterbear/internal/storage"
)

// treeVersion is the format of a listing's blob: JSON, as docs/OPLOG.md has it.
const treeVersion = 1

type tree struct {
	Version int    `json:"version"`
	Nodes   []Node `json:"nodes"`
}

// Record lists the host directory root and keeps the listing as a blob.
func Record(ctx context.Context, host Host, blobs storage.Blobs, root string) (storage.Hash, error) {
	nodes, err := host.List(ctx, root)
	if err != nil {
		return storage.Hash{}, err
	}
	encoded, err := json.Marshal(tree{treeVersion, nodes})
	if err != nil {
		return storage.Hash{}, fmt.Errorf("encode the listing of %s: %w", root, err)
	}
	h, _, err := blobs.Put(ctx, bytes.NewReader(encoded))
	if err != nil {
		return storage.Hash{}, fmt.Errorf("keep the listing of %s: %w", root, err)
	}
	return h, nil
}

// Listing reads back what Record kept.
func Listing(ctx context.Context, blobs storage.Blobs, h storage.Hash) ([]Node, error) {
	r, err := blobs.Get(ctx, h)
	if err != nil {
		return nil, fmt.Errorf("read the listing of a directory: %w", err)
	}
	defer r.Close()
	encoded, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("read the listing of a directory: %w", err)
	}
	var t tree
	if err := json.Unmarshal(encoded, &t); err != nil {
		return nil, fmt.Errorf("decode the listing of a directory: %w", err)
	}
	if t.Version != treeVersion {
		return nil, fmt.Errorf("decode the listing of a directory: its format is %d, this waterbear reads %d", t.Version, treeVersion)
	}
	for _, n := range t.Nodes {
		if !fs.ValidPath(n.Path) || path.Clean(n.Path) != n.Path {
			return nil, fmt.Errorf("decode the listing of a directory: the path %q is not clean", n.Path)
		}
		if n.Kind < File || n.Kind > Symlink {
			return nil, fmt.Errorf("decode the listing of a directory: %q is of no known kind", n.Path)
		}
	}
	return t.Nodes, nil
}

var errPermission, errGone, errIO = fs.ErrPermission, fs.ErrNotExist, errors.New("input/output error of the host")
