package wasip2

import (
	"fmt"

	"github.com/waterbear-run/waterbear/internal/host/filesystem"
	"github.com/waterbear-run/waterbear/internal/host/socket"
	"github.com/waterbear-run/waterbear/internal/host/wasi"
)

// stateFormat is the version of what AppendState writes.
const stateFormat = 1

// AppendState encodes all that the system is beside its files and what Config
// says: what an image keeps of it, for Config.Open.
func (s *System) AppendState(b []byte) []byte {
	c := wasi.NewEncoder(b)
	format, n := uint64(stateFormat), s.resources.Len()
	wasi.Uint(c, &format, stateFormat)
	codePreopens(c, &s.preopens)
	wasi.Uint(c, &n, maxResources)
	for number, e := range s.resources.All() {
		kind := e.kind()
		wasi.Uint(c, &number, maxResources-1)
		wasi.Uint(c, &kind, lastKind)
		wasi.Uint(c, &e.parent, maxResources)
		e.code(c)
	}
	codeFound(c, &s.found)
	return c.Bytes()
}

func codePreopens(c *wasi.Coder, list *[]wasi.Preopen) {
	wasi.List(c, list, maxPreopens, func(p *wasi.Preopen) {
		wasi.Text(c, &p.Name, filesystem.MaxPath)
		wasi.Uint(c, &p.Dir, 1<<63-1)
	})
}

func codeFound(c *wasi.Coder, list *[]found) {
	if !c.More(len(*list) > 0) {
		return
	}
	wasi.List(c, list, maxFound, func(f *found) { f.code(c) })
	if len(*list) == 0 {
		c.Fail()
	}
}

// reopen makes the resources that AppendState has encoded.
func (s *System) reopen(b []byte) error {
	c := wasi.NewDecoder(b)
	var format uint64
	var preopens []wasi.Preopen
	var n int
	if wasi.Uint(c, &format, 1<<64-1); format > stateFormat {
		return fmt.Errorf("format %d is newer than this version, which knows those up to %d", format, stateFormat)
	}
	if format == 0 {
		c.Fail()
	}
	codePreopens(c, &preopens)
	for _, p := range preopens {
		if err := s.preopen(p); err != nil {
			return fmt.Errorf("directory %q: %w", p.Name, err)
		}
	}
	wasi.Uint(c, &n, maxResources)
	parents := make(map[uint32]uint32)
	for range n {
		if err := s.readResource(c, parents); err != nil {
			return err
		}
		if c.Failed() {
			break
		}
	}
	codeFound(c, &s.found)
	if err := c.Close(); err != nil {
		return err
	}
	if err := s.join(parents); err != nil {
		return err
	}
	if err := s.claimSent(); err != nil {
		return err
	}
	return s.claimBodies()
}

// join makes children of those that are.
func (s *System) join(parents map[uint32]uint32) error {
	for number, e := range s.resources.All() {
		parent := s.entry(parents[number])
		fits := parent != nil || parents[number] == 0
		switch e.resource.(type) {
		case *bodyInput:
			fits = parent != nil && parent.kind() == kindIncomingBody
		case *bodyOutput:
			fits = parent != nil && parent.kind() == kindOutgoingBody
		case *valueOutput:
			fits = parent != nil && parent.kind() == kindOutgoingValue
		case *tcpInput, *tcpOutput:
			fits = parent != nil && parent.kind() == kindTCP && parent.resource.(*tcp).state == tcpConnected
		case *datagramsIn, *datagramsOut:
			fits = parent != nil && parent.kind() == kindUDP && parent.resource.(*udp).state == udpBound
		}
		if !fits {
			return fmt.Errorf("resource %d is no child of resource %d", number+1, parents[number])
		}
		s.adopt(number+1, parents[number])
	}
	return nil
}

// claimSent finds the owner of each request that was sent.
func (s *System) claimSent() error {
	for number, e := range s.resources.All() {
		t, is := e.resource.(*sent)
		if !is {
			continue
		}
		owner, fits := s.entry(t.owner), false
		if owner != nil && s.http != nil && s.sent[t.owner] == 0 && len(s.sent) < maxSent {
			switch owner.resource.(type) {
			case *futureResponse:
				fits = !t.exchange.Answered
			case *incomingResponse, *incomingBody:
				fits = t.exchange.Answered
			}
		}
		if !fits {
			return fmt.Errorf("resource %d was sent by nothing", number+1)
		}
		s.sent[t.owner] = number + 1
	}
	return nil
}

// claimBodies finds each body that a message wants to be that of one message,
// and of every other that the program has a handle to it.
func (s *System) claimBodies() error {
	claimed := make(map[uint32]bool)
	for number, e := range s.resources.All() {
		rep := uint32(0)
		switch r := e.resource.(type) {
		case message:
			rep = r.message().body
		case *sent:
			rep = r.body
		}
		if rep == 0 {
			continue
		}
		b, err := get[*outgoingBody](s, rep)
		if err != nil || claimed[rep] || !b.wanted {
			return fmt.Errorf("resource %d has no body of its own", number+1)
		}
		claimed[rep] = true
	}
	for number, e := range s.resources.All() {
		if b, is := e.resource.(*outgoingBody); is && (b.wanted != claimed[number+1] || !b.wanted && !b.handled) {
			return fmt.Errorf("resource %d is the body of nothing", number+1)
		}
	}
	return nil
}

// readResource reads one resource, and who its parent is.
func (s *System) readResource(c *wasi.Coder, parents map[uint32]uint32) error {
	var number, parent uint32
	var kind kind
	wasi.Uint(c, &number, maxResources-1)
	wasi.Uint(c, &kind, lastKind)
	wasi.Uint(c, &parent, maxResources)
	r := newResource(kind)
	if r == nil || s.resources.Has(number) {
		c.Fail()
		return nil
	}
	r.code(c)
	if c.Failed() {
		return nil
	}
	parents[number] = parent
	return s.put(number, r)
}

// put gives a resource the number that it had.
func (s *System) put(number uint32, r resource) error {
	if err := s.hold(weight(r)); err != nil {
		return err
	}
	if d, is := r.(*descriptor); is {
		if err := s.examine(d); err != nil {
			return fmt.Errorf("descriptor %d: %w", number+1, err)
		}
		if err := s.room(); err != nil {
			return err
		}
		s.files++
	}
	if isSocket(r) {
		if code := s.mayOpen(); code != socket.OK {
			return fmt.Errorf("resource %d: %s", number+1, code)
		}
		s.openSockets++
	}
	if h, is := r.(inodes); is {
		if err := s.fs.Retain(h.inode()); err != nil {
			return fmt.Errorf("resource %d: %w", number+1, err)
		}
	}
	s.resources.Put(number, entry{resource: r})
	return nil
}

// newResource makes one of a kind, to be read, or nil.
func newResource(k kind) resource {
	switch k {
	case kindError:
		return &streamError{}
	case kindPollable:
		return &pollable{}
	case kindStdin:
		return &stdinStream{}
	case kindFileInput:
		return &fileInput{}
	case kindBodyInput:
		return &bodyInput{}
	case kindStdout:
		return &stdoutStream{}
	case kindFileOutput:
		return &fileOutput{}
	case kindBodyOutput:
		return &bodyOutput{}
	case kindDescriptor:
		return &descriptor{}
	case kindEntries:
		return &entries{}
	case kindBucket:
		return &bucket{}
	case kindCas:
		return &cas{}
	case kindContainer:
		return &container{}
	case kindObjectNames:
		return &objectNames{}
	case kindOutgoingValue:
		return &outgoingValue{}
	case kindValueOutput:
		return &valueOutput{}
	case kindIncomingValue:
		return &incomingValue{}
	case kindValueInput:
		return &valueInput{}
	case kindTerminal:
		return &terminal{}
	case kindNetwork:
		return &network{}
	case kindFields:
		return &fields{}
	case kindRequestOptions:
		return &requestOptions{}
	case kindOutgoingRequest:
		return &outgoingRequest{}
	case kindOutgoingResponse:
		return &outgoingResponse{}
	case kindOutgoingBody:
		return &outgoingBody{}
	case kindIncomingRequest:
		return &incomingRequest{}
	case kindIncomingResponse:
		return &incomingResponse{}
	case kindIncomingBody:
		return &incomingBody{}
	case kindFutureTrailers:
		return &futureTrailers{}
	case kindFutureResponse:
		return &futureResponse{}
	case kindResponseOutparam:
		return &outparam{}
	case kindSent:
		return &sent{}
	case kindTCP:
		return &tcp{}
	case kindTCPInput:
		return &tcpInput{}
	case kindTCPOutput:
		return &tcpOutput{}
	case kindUDP:
		return &udp{}
	case kindDatagramsIn:
		return &datagramsIn{}
	case kindDatagramsOut:
		return &datagramsOut{}
	case kindResolving:
		return &resolving{}
	}
	return nil
}
