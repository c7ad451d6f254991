package worker

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/waterbear-run/waterbear/internal/host/platform"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/storage"
)

// readPage reads entries of a worker's own oplog for its program, all of which are
// durable then.
func readPage(ctx context.Context, logs storage.Logs, w id.Worker, writer *oplog.Writer, from, to oplog.Index, kinds []string) (p platform.Page, err error) {
	last := writer.Last()
	if err := writer.Commit(ctx); err != nil {
		return p, err
	}
	first, _, err := logs.Bounds(ctx, w)
	if err != nil {
		return p, fmt.Errorf("read the bounds of %s: %w", w, err)
	}
	if to == 0 || to > last {
		to = last
	}
	if from = max(from, first); from > to {
		return p, nil
	}
	size, until := 0, min(to, from+platform.MaxScanned-1)
	for e, err := range oplog.Read(ctx, logs, w, from, until) {
		if oplog.IsTruncated(err) {
			continue // since the bounds were read
		}
		if err != nil {
			return platform.Page{}, err
		}
		name := oplog.Name(e.Body)
		if len(kinds) > 0 && !slices.Contains(kinds, name) {
			continue
		}
		fields, err := json.Marshal(e.Body)
		if err != nil {
			return platform.Page{}, err
		}
		if len(fields) > platform.MaxEntryJSON {
			fields = nil
		}
		if size += len(fields); len(p.Entries) == platform.MaxPage || size > platform.MaxPageBytes {
			p.Next = e.Index
			return p, nil
		}
		p.Entries = append(p.Entries, platform.Entry{Index: e.Index, At: uint64(e.At), Kind: name, JSON: string(fields)})
	}
	if until < to {
		p.Next = until + 1
	}
	return p, nil
}
