package catalog

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/storage"
)

// format is the version of the records below. docs/CATALOG.md describes it.
const format = 1

const (
	componentPrefix = "component/"
	revisionPrefix  = "revision/"
)

func componentKey(name string) string { return componentPrefix + name }

func revisionKey(name string, number uint64) string {
	return fmt.Sprintf("%s%s/%010d", revisionPrefix, name, number)
}

// componentRecord is the stored form of a component.
type componentRecord struct {
	Format   int          `json:"format"`
	Name     string       `json:"name"`
	Created  time.Time    `json:"created"`
	Latest   uint64       `json:"latest"` // revisions are numbered from 1 to this
	Settings api.Settings `json:"settings"`
	// Deleted says that there is no such component any more, only its revisions'
	// cells to be cleared away.
	Deleted bool `json:"deleted,omitempty"`
}

// revisionRecord is the stored form of a revision.
type revisionRecord struct {
	Format   int          `json:"format"`
	Revision api.Revision `json:"revision"`
}

func (r componentRecord) encode() []byte { return encode(r) }

// encode writes a record, which has nothing in it that JSON cannot have.
func encode(record any) []byte {
	text, err := json.Marshal(record)
	if err != nil {
		panic("catalog: a record has no JSON: " + err.Error())
	}
	return text
}

// decode reads a record of this format. Whatever is wrong with it is damage:
// this program does not write such.
func decode(key string, text []byte, record any) error {
	var head struct {
		Format int `json:"format"`
	}
	err := json.Unmarshal(text, &head)
	if err == nil && head.Format > format {
		return fmt.Errorf("cell %s has format %d, and this program knows %d: %w", key, head.Format, format, storage.ErrNewerFormat)
	}
	if err == nil && head.Format < 1 {
		err = fmt.Errorf("there is no format %d", head.Format)
	}
	if err == nil {
		err = json.Unmarshal(text, record)
	}
	if err != nil {
		return &storage.CorruptError{Where: "cell " + key, Cause: err}
	}
	return nil
}

var errMisplaced = errors.New("it is of another component or revision")

// read reads a component and its newest revision; it gives nil if there is no
// such component. Damage is no error, but part of what it gives.
func (c *Catalog) read(ctx context.Context, name string) (*entry, error) {
	k := &entry{}
	key := componentKey(name)
	text, version, err := c.Cells.Get(ctx, key)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, nil
	}
	if err == nil {
		err = decode(key, text, &k.componentRecord)
	}
	if err == nil && (k.Name != name || k.Latest == 0) {
		err = &storage.CorruptError{Where: "cell " + key, Cause: errMisplaced}
	}
	if damaged(err) {
		return &entry{componentRecord: componentRecord{Name: name}, version: version, damage: err}, nil
	}
	if err != nil {
		return nil, err
	}
	k.version = version
	if k.Deleted {
		return k, nil
	}
	k.latest, err = c.readRevision(ctx, name, k.Latest)
	if damaged(err) {
		k.damage, err = err, nil
	}
	return k, err
}

// readRevision reads a revision that its component says is there.
func (c *Catalog) readRevision(ctx context.Context, name string, number uint64) (*api.Revision, error) {
	key := revisionKey(name, number)
	text, _, err := c.Cells.Get(ctx, key)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, &storage.CorruptError{Where: "cell " + key, Cause: err}
	}
	if err != nil {
		return nil, err
	}
	record := revisionRecord{}
	if err := decode(key, text, &record); err != nil {
		return nil, err
	}
	r := &record.Revision
	if _, err := parseHash(r.Hash); err != nil {
		return nil, &storage.CorruptError{Where: "cell " + key, Cause: err}
	}
	if r.Component != name || r.Number != number {
		return nil, &storage.CorruptError{Where: "cell " + key, Cause: errMisplaced}
	}
	return r, nil
}

func damaged(err error) bool {
	var corrupt *storage.CorruptError
	return errors.As(err, &corrupt)
}

func parseHash(text string) (h storage.Hash, err error) {
	if len(text) != hex.EncodedLen(len(h)) {
		return h, fmt.Errorf("a hash has %d hex digits, not %d", hex.EncodedLen(len(h)), len(text))
	}
	_, err = hex.Decode(h[:], []byte(text))
	return h, err
}

// replace sets a cell whatever it holds: that of a revision which no component
// names, as its deployment or deletion was not finished.
func (c *Catalog) replace(ctx context.Context, key string, value []byte) error {
	version, err := c.versionOf(ctx, key)
	if err == nil {
		_, err = c.Cells.Put(ctx, key, version, value)
	}
	return err
}

// versionOf gives the version of a cell, whether or not it can be read; 0 if it
// is not there.
func (c *Catalog) versionOf(ctx context.Context, key string) (uint64, error) {
	_, version, err := c.Cells.Get(ctx, key)
	if errors.Is(err, storage.ErrNotFound) || damaged(err) && version > 0 {
		err = nil
	}
	return version, err
}

// remove deletes a cell if it is there.
func (c *Catalog) remove(ctx context.Context, key string) error {
	version, err := c.versionOf(ctx, key)
	if err == nil && version > 0 {
		err = c.Cells.Delete(ctx, key, version)
	}
	return err
}
