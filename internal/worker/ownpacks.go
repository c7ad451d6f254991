package worker

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"github.com/waterbear-run/waterbear/internal/host/filesystem"
	"github.com/waterbear-run/waterbear/internal/image"
	"github.com/waterbear-run/waterbear/internal/storage"
)

// maxInline is how much file content a delta has in itself, in one piece: a
// blob would cost a wait for the disk.
const maxInline = 16 << 10

// ownPacks keeps the content of one worker's files so that no other worker has
// the same: in blobs, which can be deleted when that worker's image does not
// need them any more, or in memory until a delta has it.
type ownPacks struct {
	packs
	salt   [16]byte
	own    map[filesystem.Sum]bool
	inline map[filesystem.Sum][]byte // of own, those that are in no blob
}

func newOwnPacks(ctx context.Context, blobs storage.Blobs, seed [32]byte) *ownPacks {
	sum := sha256.Sum256(append([]byte("file content of "), seed[:]...))
	return &ownPacks{packs: packs{ctx, blobs}, salt: [16]byte(sum[:]), own: map[filesystem.Sum]bool{}, inline: map[filesystem.Sum][]byte{}}
}

// Put implements filesystem.Packs.
func (p *ownPacks) Put(content []byte) (filesystem.Sum, error) {
	if len(content) > maxInline {
		return p.store(content)
	}
	sum := filesystem.Sum(sha256.Sum256(append(p.salt[:], content...)))
	p.own[sum], p.inline[sum] = true, bytes.Clone(content)
	return sum, nil
}

// store keeps content in a blob.
func (p *ownPacks) store(content []byte) (filesystem.Sum, error) {
	h, _, err := p.blobs.Put(p.ctx, io.MultiReader(bytes.NewReader(p.salt[:]), bytes.NewReader(content)))
	if err == nil {
		p.own[filesystem.Sum(h)] = true
	}
	return filesystem.Sum(h), err
}

// errContent is for what the worker's files have and the store does not give: that is no
// failure of the program.
var errContent = errors.New("read the content of a file")

// Get implements filesystem.Packs.
func (p *ownPacks) Get(s filesystem.Sum) ([]byte, error) {
	if content, ok := p.inline[s]; ok {
		return content, nil
	}
	content, err := p.packs.Get(s)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", errContent, err)
	case !p.own[s]:
		return content, nil
	}
	if len(content) < len(p.salt) {
		return nil, fmt.Errorf("%w: a pack of files ends early", image.ErrDamaged)
	}
	return content[len(p.salt):], nil
}

// needed are the worker's own packs that its files are in: those in blobs, and
// those in memory.
func (p *ownPacks) needed(files *filesystem.FS) (stored []storage.Hash, inline []image.Pack) {
	for _, s := range files.References() {
		if content, ok := p.inline[s]; ok {
			inline = append(inline, image.Pack{Sum: s, Content: content})
		} else if p.own[s] {
			stored = append(stored, storage.Hash(s))
		}
	}
	return stored, inline
}

// spill keeps in blobs what the files need and only memory has, and forgets what
// they do not need.
func (p *ownPacks) spill(files *filesystem.FS) error {
	_, inline := p.needed(files)
	for _, pack := range inline {
		if _, err := p.store(pack.Content); err != nil {
			return err
		}
	}
	clear(p.inline)
	return nil
}
