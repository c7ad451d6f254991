package exchange

// broken is the reply of an exchange that cannot be gone on with.
type broken struct{ why *Failure }

func (b broken) Head() (Head, bool)     { return Head{Failure: b.why}, true }
func (broken) Ready() bool              { return true }
func (b broken) Read(int) (Piece, bool) { return Piece{End: true, Failure: b.why}, true }
func (broken) Close()                   {}

// resumed is the reply to a request that was sent again for the rest of its body.
type resumed struct {
	Reply
	of      Exchange
	checked bool   // it is of the same representation
	skip    uint64 // what is still to be left out
	failed  bool
}

// Ready implements Reply.
func (r *resumed) Ready() bool {
	r.pull()
	return r.failed || r.checked && r.skip == 0 && r.Reply.Ready()
}

// Read implements Reply.
func (r *resumed) Read(limit int) (Piece, bool) {
	r.pull()
	switch {
	case r.failed:
		return Piece{End: true, Failure: &Failure{Reason: ConnectionTerminated}}, true
	case !r.checked || r.skip > 0:
		return Piece{}, false
	}
	return r.Reply.Read(limit)
}

// pull leaves out what was read before, as far as it has come.
func (r *resumed) pull() {
	if !r.checked {
		h, ok := r.Reply.Head()
		if !ok {
			return
		}
		r.checked = true
		r.failed = !r.of.same(h)
	}
	for !r.failed && r.skip > 0 {
		p, ok := r.Reply.Read(int(min(r.skip, MaxPiece)))
		if !ok {
			return
		}
		r.skip -= uint64(len(p.Bytes))
		r.failed = p.End && r.skip > 0
		if p.End && r.skip == 0 {
			r.Reply = ended{p}
			return
		}
	}
}

// ended is a reply of which nothing is left but its end.
type ended struct{ end Piece }

func (ended) Head() (Head, bool) { return Head{}, true }
func (ended) Ready() bool        { return true }
func (e ended) Read(int) (Piece, bool) {
	return Piece{End: true, Trailers: e.end.Trailers, Failure: e.end.Failure}, true
}
func (ended) Close() {}

// given is the reply that a person gave.
type given struct {
	head Head
	body []byte
}

func (g *given) Head() (Head, bool) { return g.head, true }
func (*given) Ready() bool          { return true }
func (*given) Close()               {}

// Read implements Reply.
func (g *given) Read(limit int) (Piece, bool) {
	n := min(limit, len(g.body))
	p := Piece{Bytes: g.body[:n], End: n == len(g.body)}
	g.body = g.body[n:]
	return p, true
}
