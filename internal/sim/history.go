package sim

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/storage"
)

// history is what the outside knows of a worker's oplog, and so what the oplog
// must not forget.
type history struct {
	worker  id.Worker
	logs    storage.Logs // of the present process, without faults
	entries [][sha256.Size]byte
	outputs map[oplog.Index]output
	intent  oplog.Index // of the last effect on the outside that began; it may begin again
}

type output struct {
	stream oplog.Stream
	bytes  []byte
}

func (h *history) shown(index oplog.Index, stream oplog.Stream, p []byte) {
	if h.outputs == nil {
		h.outputs = map[oplog.Index]output{}
	}
	h.outputs[index] = output{stream, bytes.Clone(p)}
}

// performs is called when an effect on the outside begins: the last entry that
// is durable must be its intent.
func (h *history) performs(ctx context.Context) error {
	var last oplog.Entry
	for entry, err := range oplog.Read(ctx, h.logs, h.worker, 1, 0) {
		if err != nil {
			return err
		}
		if !oplog.Hint(entry.Body) {
			last = entry
		}
	}
	if _, ok := last.Body.(*oplog.HostCallStarted); !ok {
		return fmt.Errorf("%s: an effect on the outside begins, and the last durable entry is %T, not its intent", h.worker, last.Body)
	}
	h.intent = last.Index
	return nil
}

// check compares the oplog that a new process finds with what is known of it:
// nothing that was once durable is gone or changed, and everything that was
// shown, or done to the outside, is there.
func (h *history) check(ctx context.Context, logs storage.Logs) error {
	h.logs = logs
	var index oplog.Index
	for entry, err := range oplog.Read(ctx, logs, h.worker, 1, 0) {
		if err != nil {
			return err
		}
		if index++; entry.Index != index {
			return fmt.Errorf("%s: entry %d comes after %d", h.worker, entry.Index, index-1)
		}
		if err := h.checkEntry(entry); err != nil {
			return fmt.Errorf("%s: entry %d: %w", h.worker, index, err)
		}
	}
	if known := oplog.Index(len(h.entries)); index < known {
		return fmt.Errorf("%s: it has %d entries, and had %d", h.worker, index, known)
	}
	for shown := range h.outputs {
		if shown > index {
			return fmt.Errorf("%s: it has %d entries, and entry %d was shown", h.worker, index, shown)
		}
	}
	if h.intent > index {
		return fmt.Errorf("%s: it has %d entries, and the effect of entry %d had begun", h.worker, index, h.intent)
	}
	return nil
}

func (h *history) checkEntry(entry oplog.Entry) error {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %s %+v", entry.At, oplog.Name(entry.Body), entry.Body))
	if known := oplog.Index(len(h.entries)); entry.Index > known {
		h.entries = append(h.entries, sum)
	} else if h.entries[entry.Index-1] != sum {
		return fmt.Errorf("it is another than it was")
	}
	if _, ok := entry.Body.(*oplog.HostCallStarted); entry.Index == h.intent && !ok {
		return fmt.Errorf("it is %s, and an effect with this intent had begun", oplog.Name(entry.Body))
	}
	shown, ok := h.outputs[entry.Index]
	if !ok {
		return nil
	}
	log, ok := entry.Body.(*oplog.Log)
	if !ok || log.Stream != shown.stream || !bytes.Equal(log.Bytes, shown.bytes) {
		return fmt.Errorf("it is not what was shown: %s %q", shown.stream, shown.bytes)
	}
	return nil
}
