package table

import "bytes"

// Cursor goes through the pairs of a table in order. Key and Value are those
// of where it stands.
type Cursor struct {
	table *Table
	block int
	rest  []byte // of the block behind the pair
	pair  pair
	spare []byte // memory for a key
	err   error
}

// Cursor gives a cursor that stands nowhere yet.
func (t *Table) Cursor() *Cursor { return &Cursor{table: t} }

// Key is valid until the cursor moves.
func (c *Cursor) Key() []byte { return c.pair.key }

// Value is valid for ever and must not be changed.
func (c *Cursor) Value() []byte { return c.pair.value }

// Err is why the cursor stands nowhere, or nil if it is at the end.
func (c *Cursor) Err() error { return c.err }

// Next moves to the next pair and says whether there is one.
func (c *Cursor) Next() bool {
	for c.err == nil {
		if len(c.rest) > 0 {
			c.rest, c.err = c.pair.read(c.rest)
			return c.err == nil
		}
		c.block++
		if c.block >= len(c.table.spans) {
			return false
		}
		var b block
		b, c.err = c.table.block(c.block)
		c.rest, c.pair.key = b.pairs, c.pair.key[:0]
	}
	return false
}

// Seek moves to the first pair at or behind key and says whether there is one.
func (c *Cursor) Seek(key []byte) bool {
	c.enter(key)
	for c.Next() {
		if bytes.Compare(c.pair.key, key) >= 0 {
			return true
		}
	}
	return false
}

// SeekBefore moves to the last pair at or before key and says whether there is
// one.
func (c *Cursor) SeekBefore(key []byte) bool {
	c.enter(key)
	if c.err != nil || len(c.table.keys) == 0 || c.table.keys[0] > string(key) {
		return false
	}
	// The pair is in the block that was entered, since the next one begins
	// behind the key.
	for len(c.rest) > 0 {
		next := pair{key: append(c.spare[:0], c.pair.key...)}
		rest, err := next.read(c.rest)
		if err != nil {
			c.err = err
			return false
		}
		if bytes.Compare(next.key, key) > 0 {
			c.spare = next.key
			break
		}
		c.spare = c.pair.key
		c.pair, c.rest = next, rest
	}
	return true
}

// enter stands in the block that has or would have key, before the last pair
// that shares nothing and is not behind key.
func (c *Cursor) enter(key []byte) {
	c.block, c.rest, c.err = max(c.table.find(string(key)), 0), nil, nil
	c.pair.key, c.pair.value = c.pair.key[:0], nil
	if c.block >= len(c.table.spans) {
		return
	}
	b, err := c.table.block(c.block)
	if err != nil {
		c.err = err
		return
	}
	low, high := 0, len(b.starts)/4 // The key at low is not behind, the one at high is.
	for high-low > 1 {
		middle := (low + high) / 2
		p := pair{key: c.pair.key[:0]}
		if _, err := p.read(b.pairs[b.start(middle):]); err != nil {
			c.err = err
			return
		}
		if bytes.Compare(p.key, key) <= 0 {
			low = middle
		} else {
			high = middle
		}
		c.pair.key = p.key[:0]
	}
	c.rest = b.pairs
	if high > 0 {
		c.rest = b.pairs[b.start(low):]
	}
}
