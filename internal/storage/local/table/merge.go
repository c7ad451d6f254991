package table

import "bytes"

// Source is a cursor of any kind, standing on a pair.
type Source interface {
	Key() []byte
	Value() []byte
	Next() bool
	Err() error
}

// Merge gives the pairs of sources in order to add; of those with the same key
// the one whose source comes first. The sources stand on their first pairs; one
// that stands nowhere is left out by the caller.
func Merge(sources []Source, add func(key, value []byte) error) error {
	sources = append([]Source(nil), sources...)
	var key []byte
	for len(sources) > 0 {
		least := 0
		for i := 1; i < len(sources); i++ {
			if bytes.Compare(sources[i].Key(), sources[least].Key()) < 0 {
				least = i
			}
		}
		key = append(key[:0], sources[least].Key()...)
		if err := add(key, sources[least].Value()); err != nil {
			return err
		}
		for i := 0; i < len(sources); {
			if !bytes.Equal(sources[i].Key(), key) || sources[i].Next() {
				i++
				continue
			}
			if err := sources[i].Err(); err != nil {
				return err
			}
			sources = append(sources[:i], sources[i+1:]...)
		}
	}
	return nil
}
