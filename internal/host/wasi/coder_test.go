package wasi

import (
	"bytes"
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

// sample has one of everything that can be coded.
type sample struct {
	Small uint8
	Large uint64
	Flag  bool
	Name  string
	Data  []byte
	List  []pair
}

type pair struct {
	A uint32
	B string
}

const (
	mostText = 40
	mostList = 5
)

func (s *sample) code(c *Coder) {
	Uint(c, &s.Small, 9)
	Uint(c, &s.Large, 1<<64-1)
	c.Bool(&s.Flag)
	Text(c, &s.Name, mostText)
	Text(c, &s.Data, mostText)
	List(c, &s.List, mostList, func(p *pair) {
		Uint(c, &p.A, 1<<32-1)
		Text(c, &p.B, mostText)
	})
}

func TestWhatIsCodedIsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringN(0, -1, mostText)
		s := sample{
			Small: rapid.Uint8Range(0, 9).Draw(t, "small"), Large: rapid.Uint64().Draw(t, "large"),
			Flag: rapid.Bool().Draw(t, "flag"), Name: text.Draw(t, "name"), Data: []byte(text.Draw(t, "data")),
			List: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) pair {
				return pair{rapid.Uint32().Draw(t, "a"), text.Draw(t, "b")}
			}), 0, mostList).Draw(t, "list"),
		}
		if len(s.Data) == 0 {
			s.Data = nil
		}
		if len(s.List) == 0 {
			s.List = nil
		}
		c := NewEncoder([]byte("before"))
		s.code(c)
		b, ok := bytes.CutPrefix(c.Bytes(), []byte("before"))
		if !ok || c.Close() != nil {
			t.Fatalf("encoded %q, %v", c.Bytes(), c.Close())
		}
		var got sample
		d := NewDecoder(b)
		got.code(d)
		if err := d.Close(); err != nil || !reflect.DeepEqual(got, s) {
			t.Fatalf("got %+v, %v, want %+v", got, err, s)
		}
		d = NewDecoder(append(b, 0))
		new(sample).code(d)
		if d.Close() == nil {
			t.Fatal("a byte too many was taken")
		}
		for n := range b {
			d := NewDecoder(b[:n])
			new(sample).code(d)
			if d.Close() == nil || !d.Failed() {
				t.Fatalf("%d of %d bytes were taken", n, len(b))
			}
		}
	})
}

func TestWhatIsBeyondItsBoundIsRefused(t *testing.T) {
	for name, b := range map[string][]byte{
		"a number":                    {10, 0, 0, 0, 0, 0},
		"a number of too many bytes":  {0, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0},
		"a flag":                      {0, 0, 2, 0, 0, 0},
		"a text":                      append([]byte{0, 0, 0, mostText + 1}, make([]byte, 99)...),
		"a text longer than there is": {0, 0, 0, 5, 1, 1},
		"a list":                      append([]byte{0, 0, 0, 0, 0, mostList + 1}, make([]byte, 99)...),
		"a list longer than there is": {0, 0, 0, 0, 0, 3, 0, 0},
	} {
		d := NewDecoder(b)
		var s sample
		s.code(d)
		if d.Close() == nil {
			t.Errorf("%s was taken: %+v", name, s)
		}
	}
}
