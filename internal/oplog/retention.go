package oplog

import (
	"errors"
	"fmt"
	"slices"

	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/storage"
)

// Archiving says that these blobs are about to be kept: until an Archived names
// them nobody needs them, and they may be deleted.
type Archiving struct {
	At    Time           `json:"at"`
	Blobs []storage.Hash `json:"blobs"`
}

func (*Archiving) kind() *kind { return kindArchiving }
func (e *Archiving) fields(c *coder) {
	c.time(&e.At)
	hashes(c, &e.Blobs)
}

// Archived says that the entries below Below may be truncated. What of them is
// still to be told is in archives, as they are with the changes named here.
type Archived struct {
	At    Time   `json:"at"`
	Below Index  `json:"below"`
	Ended uint64 `json:"ended"` // invocations, by entries below Below
	// Open is the blob of the invocations that were accepted below Below and did
	// not end below it, or zero if there are none.
	Open    storage.Hash `json:"open,omitzero"`
	Results Shelving     `json:"results"`
	Logs    Shelving     `json:"logs"`
}

func (*Archived) kind() *kind { return kindArchived }
func (e *Archived) fields(c *coder) {
	c.time(&e.At)
	c.uvarint(&e.Below)
	c.uvarint(&e.Ended)
	c.fixed(e.Open[:])
	e.Results.fields(c)
	e.Logs.fields(c)
}

// Shelving is a change of the archives of one sort.
type Shelving struct {
	// Forget is where what is kept begins: what ended, or was printed, by an
	// entry below it need not be known any more.
	Forget Index `json:"forget"`
	// Added takes the places of those that begin where it does, or behind.
	Added []Archive `json:"added"`
}

func (s *Shelving) fields(c *coder) {
	c.uvarint(&s.Forget)
	list(c, &s.Added, 7+len(storage.Hash{}), func(a *Archive) { a.fields(c) })
}

// Archive is a blob with what is kept of the entries From to Below-1: the
// invocations that ended there, or the output.
type Archive struct {
	From  Index  `json:"from"`
	Below Index  `json:"below"`
	Count uint64 `json:"count"` // invocations, or pieces of output
	// Oldest is the first entry that accepted one of its invocations.
	Oldest Index        `json:"oldest"`
	Newest Time         `json:"newest"` // of its newest end, or output
	Ended  uint64       `json:"ended"`  // invocations, by entries below Below
	Blob   storage.Hash `json:"blob"`
	Size   uint64       `json:"size"` // of the blob, bytes
}

func (a *Archive) fields(c *coder) {
	c.uvarint(&a.From)
	c.uvarint(&a.Below)
	c.uvarint(&a.Count)
	c.uvarint(&a.Oldest)
	c.time(&a.Newest)
	c.uvarint(&a.Ended)
	c.fixed(a.Blob[:])
	c.uvarint(&a.Size)
}

func hashes(c *coder, p *[]storage.Hash) {
	list(c, p, len(storage.Hash{}), func(h *storage.Hash) { c.fixed(h[:]) })
}

// TruncatedError reports entries that retention has let go of, or that a copy of a
// worker was made without.
type TruncatedError struct {
	Worker   id.Worker
	From, To Index
}

func (e *TruncatedError) Error() string {
	return fmt.Sprintf("entries %d to %d of the oplog of %s are not there: its retention has truncated them, or it is a copy that was made without", e.From, e.To, e.Worker)
}

// IsTruncated reports whether err is a *TruncatedError.
func IsTruncated(err error) bool {
	var truncated *TruncatedError
	return errors.As(err, &truncated)
}

// Retained is what a life knows of the entries that need not be there any more.
type Retained struct {
	// Below is where the entries begin that have to be there.
	Below Index
	// EndedBelow counts the invocations that ended below Below, Ended all.
	EndedBelow, Ended uint64
	// Open is the blob of the invocations that were accepted and not ended below
	// Below; zero if there are none.
	Open storage.Hash
	// Results and Logs are the archives, in the order of what is in them.
	Results, Logs Shelf
	// Loose are blobs that may be there and that nobody needs.
	Loose []storage.Hash
	// Marks are where the oplog may be cut, as far as they are remembered.
	Marks []Mark
	// Images are the newest image entries.
	Images []ImageAt
}

// Shelf is the archives of one sort. What ended, or was printed, by an entry
// below Forgotten is not in them any more.
type Shelf struct {
	Archives  []Archive
	Forgotten Index
}

// Mark is an image that was taken: what it covers need not be replayed.
type Mark struct {
	Index Index // the first entry that it does not cover
	At    Time
	Ended uint64 // invocations until then
}

// ImageAt is an image with the index of its entry.
type ImageAt struct {
	Index Index
	Image
}

const (
	// maxMarks bounds the marks that a life has: the range between the first and
	// the last is marked about evenly.
	maxMarks = 32
	// maxImages is how many images a life remembers: the two that may be in use,
	// and those that a crash may have kept from being deleted.
	maxImages = 4
)

func (r *Retained) fields(c *coder) {
	c.uvarint(&r.Below)
	c.uvarint(&r.EndedBelow)
	c.uvarint(&r.Ended)
	c.fixed(r.Open[:])
	for _, s := range []*Shelf{&r.Results, &r.Logs} {
		c.uvarint(&s.Forgotten)
		list(c, &s.Archives, 7+len(storage.Hash{}), func(a *Archive) { a.fields(c) })
	}
	hashes(c, &r.Loose)
	list(c, &r.Marks, 3, func(m *Mark) {
		c.uvarint(&m.Index)
		c.time(&m.At)
		c.uvarint(&m.Ended)
	})
	list(c, &r.Images, 4+len(storage.Hash{}), func(i *ImageAt) {
		c.uvarint(&i.Index)
		i.Image.fields(c)
	})
}

// Blobs are those that are needed for what is not in the oplog any more, and
// those that may be there and are not needed.
func (r *Retained) Blobs() (needed, loose []storage.Hash) {
	if r.Open != (storage.Hash{}) {
		needed = append(needed, r.Open)
	}
	for _, s := range []*Shelf{&r.Results, &r.Logs} {
		for _, a := range s.Archives {
			needed = append(needed, a.Blob)
		}
	}
	for _, h := range r.Loose {
		if !slices.Contains(needed, h) {
			loose = append(loose, h)
		}
	}
	return needed, loose
}

// imaged takes an Image entry.
func (r *Retained) imaged(index Index, b *Image) {
	r.Images = append(r.Images, ImageAt{index, *b})
	if over := len(r.Images) - maxImages; over > 0 {
		r.Images = slices.Delete(r.Images, 0, over)
	}
	r.Marks = append(r.Marks, Mark{b.Covers + 1, b.At, r.Ended})
	if len(r.Marks) > maxMarks {
		r.unmark()
	}
}

// unmark drops the mark whose neighbours are closest to each other.
func (r *Retained) unmark() {
	least, gap := 0, ^uint64(0)
	for i := 1; i < len(r.Marks)-1; i++ {
		if d := r.Marks[i+1].Index - r.Marks[i-1].Index; d < gap {
			least, gap = i, d
		}
	}
	r.Marks = slices.Delete(r.Marks, least, least+1)
}

// archived takes an Archived entry.
func (r *Retained) archived(b *Archived) {
	r.Loose = nil
	r.Below, r.EndedBelow = max(r.Below, b.Below), max(r.EndedBelow, b.Ended)
	if r.Open != b.Open && r.Open != (storage.Hash{}) {
		r.Loose = append(r.Loose, r.Open)
	}
	r.Open = b.Open
	r.Loose = append(r.Loose, r.Results.change(&b.Results)...)
	r.Loose = append(r.Loose, r.Logs.change(&b.Logs)...)
	r.Marks = slices.DeleteFunc(r.Marks, func(m Mark) bool { return m.Index < r.Below })
}

// change gives the blobs that are not needed any more.
func (s *Shelf) change(by *Shelving) (loose []storage.Hash) {
	s.Forgotten = max(s.Forgotten, by.Forget)
	from := ^uint64(0)
	if len(by.Added) > 0 {
		from = by.Added[0].From
	}
	kept := s.Archives[:0:0]
	for _, a := range s.Archives {
		if a.Below <= s.Forgotten || a.From >= from {
			loose = append(loose, a.Blob)
		} else {
			kept = append(kept, a)
		}
	}
	s.Archives = append(kept, by.Added...)
	return loose
}
