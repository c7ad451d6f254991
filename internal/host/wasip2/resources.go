package wasip2

import (
	"errors"
	"fmt"

	"github.com/waterbear-run/waterbear/internal/host/filesystem"
	"github.com/waterbear-run/waterbear/internal/host/wasi"
	"github.com/waterbear-run/waterbear/wit"
)

// Bounds of all resources together.
const (
	// maxResources is how many there can be. One more is a trap: hardly any
	// function of the WIT has an error for it.
	maxResources = 1 << 16
	// maxHeld is how many bytes they can hold: fields, bodies, texts.
	maxHeld = 16 << 20
	// entryCost is what each thing that a resource holds a list of costs beside
	// its bytes.
	entryCost = 64
)

// resource is what a program has a handle to. It is plain data.
type resource interface {
	kind() kind
	// code writes all that the resource is to an image, or reads it.
	code(c *wasi.Coder)
}

// weighty is a resource that holds bytes, of maxHeld.
type weighty interface{ weight() int }

// child is what resources have in them that are children of others.
type child struct{ parent uint32 }

func (c *child) setParent(rep uint32) { c.parent = rep }

// inodes is a resource that retains a file or a directory.
type inodes interface{ inode() filesystem.Inode }

// closer is a resource whose end changes other resources.
type closer interface {
	// close is called when the program has dropped the resource. The resource
	// stays in the table if something else still needs it.
	close(s *System) (stays bool)
}

// entry is a resource in the table. Its number there, plus one, is its
// representation.
type entry struct {
	resource
	// parent is the representation of what the resource is a child of, or 0.
	// While it has children, a resource cannot be dropped or passed on.
	parent   uint32
	children int
}

// kind says in an image which resource it is. A number is never used again for
// something else.
type kind uint8

// The kinds of resources.
const (
	kindError kind = iota + 1
	kindPollable
	kindStdin
	kindFileInput
	kindBodyInput
	kindStdout
	kindFileOutput
	kindBodyOutput
	kindDescriptor
	kindEntries
	kindTerminal
	kindNetwork
	kindFields
	kindRequestOptions
	kindOutgoingRequest
	kindOutgoingResponse
	kindOutgoingBody
	kindIncomingRequest
	kindIncomingResponse
	kindIncomingBody
	kindFutureTrailers
	kindFutureResponse
	kindResponseOutparam
	_ // what was set for a response-outparam
	kindSent
	kindTCP
	kindTCPInput
	kindTCPOutput
	kindUDP
	kindDatagramsIn
	kindDatagramsOut
	kindResolving
)

// Those of drafts.
const (
	kindBucket kind = iota + 40
	kindCas
	kindContainer
	kindObjectNames
	kindOutgoingValue
	kindValueOutput
	kindIncomingValue
	kindValueInput
	lastKind = kindValueInput
)

// add makes a resource, a child of parent unless that is 0.
func (s *System) add(r resource, parent uint32) (wit.Value, error) {
	if s.resources.Len() == maxResources {
		return nil, trap("the program has more than %d resources of the host", maxResources)
	}
	if err := s.hold(weight(r)); err != nil {
		return nil, err
	}
	rep := s.resources.Add(entry{resource: r}) + 1
	s.adopt(rep, parent)
	return rep, nil
}

// adopt makes a resource a child of another one, unless that is 0.
func (s *System) adopt(rep, parent uint32) {
	if parent == 0 {
		return
	}
	e := s.entry(rep)
	e.parent = parent
	if c, ok := e.resource.(interface{ setParent(uint32) }); ok {
		c.setParent(parent)
	}
	s.entry(parent).children++
}

// hold accounts for n more bytes, or for less.
func (s *System) hold(n int) error {
	if n > maxHeld-s.held {
		return trap("the resources of the host hold more than %d bytes for the program", maxHeld)
	}
	s.held += n
	return nil
}

func weight(r resource) int {
	if w, ok := r.(weighty); ok {
		return w.weight()
	}
	return 0
}

// entry finds a resource by its representation, or nil.
func (s *System) entry(rep uint32) *entry { return s.resources.Get(rep - 1) }

// get finds the resource of a handle. The runtime hands on only representations
// of resources that there are, and only for their own type.
func get[R resource](s *System, v wit.Value) (R, error) {
	rep, _ := v.(uint32)
	if e := s.entry(rep); e != nil {
		if r, ok := e.resource.(R); ok {
			return r, nil
		}
	}
	var want R
	return want, fmt.Errorf("resource %v of the program is no %T", v, want)
}

// on makes a function of one that is called with the resource of its first
// argument.
func on[R resource](do func(s *System, r R, a []wit.Value) (wit.Value, error)) call {
	return func(s *System, a []wit.Value) (wit.Value, error) {
		r, err := get[R](s, a[0])
		if err != nil {
			return nil, err
		}
		return do(s, r, a)
	}
}

// take ends a resource that the program has passed on, and gives it.
func take[R resource](s *System, v wit.Value) (R, error) {
	r, err := get[R](s, v)
	if err == nil {
		err = s.release(v.(uint32))
	}
	return r, err
}

// drop ends a resource.
func (s *System) drop(rep uint32) error {
	e := s.entry(rep)
	if e == nil {
		return fmt.Errorf("resource %d of the program is dropped and is not there", rep)
	}
	if e.children > 0 {
		return trap("a resource is dropped while resources that are made from it are there")
	}
	if c, ok := e.resource.(closer); ok && c.close(s) {
		return s.handedOver(rep)
	}
	return s.release(rep)
}

// release takes a resource out of the table.
func (s *System) release(rep uint32) error {
	e := s.entry(rep)
	if e.children > 0 {
		return trap("a resource is passed on while resources that are made from it are there")
	}
	if e.parent != 0 {
		s.entry(e.parent).children--
	}
	s.held -= weight(e.resource)
	r := e.resource
	s.resources.Remove(rep - 1)
	if err := s.hangUp(rep); err != nil {
		return err
	}
	if r.kind() == kindDescriptor {
		s.files--
	}
	if isSocket(r) {
		s.openSockets--
		s.net.Close(uint64(rep))
	}
	if h, ok := r.(inodes); ok {
		return s.fs.Release(h.inode())
	}
	return nil
}

// Close lets go of what the program has open. Nothing may run in the system
// afterwards.
func (s *System) Close() error {
	var errs []error
	for owner := range s.sent {
		if t := s.ofOwner(owner); t != nil && s.http != nil {
			s.http.HangUp(t.exchange.Call)
		}
	}
	clear(s.sent)
	if s.net != nil {
		s.net.CloseAll()
	}
	for n, e := range s.resources.All() {
		if h, ok := e.resource.(inodes); ok {
			errs = append(errs, s.fs.Release(h.inode()))
		}
		s.resources.Remove(n)
	}
	for _, p := range s.preopens {
		errs = append(errs, s.fs.Release(p.Dir))
	}
	s.preopens, s.serving, s.held, s.files, s.openSockets, s.found = nil, nil, 0, 0, 0, nil
	return errors.Join(errs...)
}
