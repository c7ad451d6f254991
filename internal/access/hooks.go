package access

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/storage"
)

// hooksKey is the cell with the secret that hooks are made with.
const hooksKey = "hooks"

// sumSize is how many bytes of a hook nobody can guess.
const sumSize = 16

// maxHook bounds what can be a hook.
const maxHook = 1024

// Hooks let those in who have no token but a URL: the hook is the end of one,
// names a promise and proves that whoever has it was given it. It hides how.
type Hooks struct {
	secret [sha256.Size]byte
	// Damaged is set if the secret there was could not be read. There is a new one
	// then, and hooks that were given out before let nobody in.
	Damaged error
}

// OpenHooks reads the secret of the node's hooks, or makes it.
func OpenHooks(ctx context.Context, cells storage.Cells, entropy func([]byte) error) (*Hooks, error) {
	h := &Hooks{}
	secret, version, err := cells.Get(ctx, hooksKey)
	var corrupt *storage.CorruptError
	switch {
	case err == nil && len(secret) == len(h.secret):
		h.secret = [sha256.Size]byte(secret)
		return h, nil
	case err == nil:
		h.Damaged = fmt.Errorf("the secret of webhooks has %d bytes, not %d", len(secret), len(h.secret))
	case errors.As(err, &corrupt):
		h.Damaged = err
	case !errors.Is(err, storage.ErrNotFound):
		return nil, fmt.Errorf("read the secret of webhooks: %w", err)
	}
	if err := entropy(h.secret[:]); err != nil {
		return nil, fmt.Errorf("draw a secret of webhooks: %w", err)
	}
	if _, err := cells.Put(ctx, hooksKey, version, h.secret[:]); err != nil {
		return nil, fmt.Errorf("keep the secret of webhooks: %w", err)
	}
	return h, nil
}

// Make gives the hook of a promise.
func (h *Hooks) Make(p id.Promise) string {
	name := p.String()
	return base64.RawURLEncoding.EncodeToString(append(h.sum(name), name...))
}

// Find gives the promise of a hook, if it is one that Make has made.
func (h *Hooks) Find(hook string) (p id.Promise, ok bool) {
	if len(hook) > maxHook {
		return p, false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(hook)
	if err != nil || len(b) < sumSize || !hmac.Equal(b[:sumSize], h.sum(string(b[sumSize:]))) {
		return p, false
	}
	p, err = id.ParsePromise(string(b[sumSize:]))
	return p, err == nil
}

func (h *Hooks) sum(name string) []byte {
	sum := hmac.New(sha256.New, h.secret[:])
	sum.Write([]byte(name))
	return sum.Sum(nil)[:sumSize]
}
