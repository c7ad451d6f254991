package wit

import "fmt"

// maxValues bounds how many values a text may stand for, those that it leaves
// out included: as many as it could spell out.
const maxValues = MaxArgs

// allowance is how many more values a text may stand for.
type allowance int

// spend takes n off it.
func (a *allowance) spend(n int) error {
	if *a -= allowance(n); *a < 0 {
		return fmt.Errorf("there are more than %d values, fields that are left out included", maxValues)
	}
	return nil
}

// labels finds the fields, cases and labels of types by their names. It keeps
// an index of types that have many, so that finding all of them takes no longer
// than there are.
type labels map[*Type]map[string]int

// fewLabels is up to how many are looked through.
const fewLabels = 8

// find is where in t name is, or false. It looks at hint first.
func (l labels) find(t *Type, name string, hint int) (int, bool) {
	if hint < len(t.Fields) && t.Fields[hint].Name == name {
		return hint, true
	}
	if len(t.Fields) <= fewLabels {
		for i, f := range t.Fields {
			if f.Name == name {
				return i, true
			}
		}
		return 0, false
	}
	index := l[t]
	if index == nil {
		index = make(map[string]int, len(t.Fields))
		for i, f := range t.Fields {
			index[f.Name] = i
		}
		l[t] = index
	}
	i, ok := index[name]
	return i, ok
}
