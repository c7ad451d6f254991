package table

import "bytes"

// Cursor goes through the pairs of a table in order. Key and Value are those
// of where it stands.
type Cursor struct {
	table *Table
	block int
	rest  []byte // of the block behind the pair
	pair  pair
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
		c.rest, c.err = c.table.block(c.block)
		c.pair.key = c.pair.key[:0]
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
	block := max(c.block+1, 0)
	if len(c.table.keys) == 0 || c.table.keys[0] > string(key) {
		return false
	}
	// The pair is in this block, since the next one begins behind the key.
	before, found := *c, false
	before.pair.key = nil
	for c.Next() && c.block == block && bytes.Compare(c.pair.key, key) <= 0 {
		found = true
		before.pair.key = append(before.pair.key[:0], c.pair.key...)
		before.pair.value, before.rest, before.block = c.pair.value, c.rest, c.block
	}
	before.err = c.err
	*c = before
	return found && c.err == nil
}

// enter stands before the first pair of the block that has or would have key.
func (c *Cursor) enter(key []byte) {
	c.block, c.rest, c.err = max(c.table.find(string(key)), 0)-1, nil, nil
	c.pair.key, c.pair.value = c.pair.key[:0], nil
}
