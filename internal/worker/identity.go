package worker

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/waterbear-run/waterbear/internal/host/platform"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
)

// identity is who a program is; it implements platform.Context.
type identity struct {
	worker   id.Worker
	create   *oplog.Create
	seed     [sha256.Size]byte
	accepted oplog.Index // of the invocation
	key      string      // its
	attempt  uint64
}

// Identity implements platform.Context.
func (i *identity) Identity() platform.Identity {
	return platform.Identity{
		Component: i.worker.Component, Name: i.worker.Name, Revision: i.create.Revision, Created: uint64(i.create.At),
		Invocation: i.key, Attempt: i.attempt,
	}
}

// Key implements platform.Context: it follows from who the worker is and from the
// invocation, and not from the attempt.
func (i *identity) Key(n uint64) string {
	sum := hmac.New(sha256.New, i.seed[:])
	b := binary.BigEndian.AppendUint64([]byte("key of a call"), uint64(i.accepted))
	b = binary.BigEndian.AppendUint64(b, n)
	sum.Write(append(b, i.worker.String()...))
	h := sum.Sum(nil)
	return fmt.Sprintf("%x-%x-%x-%x-%x", h[:4], h[4:6], h[6:8], h[8:10], h[10:16])
}

// begin says which invocation the program is in.
func (i *identity) begin(c call) { i.accepted, i.key, i.attempt = c.accepted, c.key, c.attempt }
