package wasip2

import (
	"errors"
	"math"
	"strconv"

	"github.com/waterbear-run/waterbear/internal/host/keyvalue"
	"github.com/waterbear-run/waterbear/internal/host/wasi"
	"github.com/waterbear-run/waterbear/wit"
)

// keyvalueDraft is one of the drafts of wasi:keyvalue, which differ in how keys are
// listed and numbers added, and in compare-and-swap.
type keyvalueDraft struct {
	version     string
	bucket, cas *wit.Resource // cas: nil in the first draft
	failure     *wit.Type
}

// The drafts.
var (
	keyvalue1 = newKeyvalueDraft("0.2.0-draft", nil)
	keyvalue2 = newKeyvalueDraft("0.2.0-draft2", &wit.Resource{Name: "cas"})
)

func newKeyvalueDraft(version string, cas *wit.Resource) *keyvalueDraft {
	return &keyvalueDraft{
		version: version, bucket: &wit.Resource{Name: "bucket"}, cas: cas,
		failure: variant("error", part("no-such-store", nil), part("access-denied", nil), part("other", tString)),
	}
}

// The cases of the error that are given.
const (
	keyvalueNoStore = 0
	keyvalueOther   = 2
)

// interfaces are those of a draft.
func (d *keyvalueDraft) interfaces() []interfaceOf {
	return []interfaceOf{d.store(), d.atomics(), d.batch()}
}

func (d *keyvalueDraft) store() interfaceOf {
	cursor := tString
	if d.cas == nil {
		cursor = tU64
	}
	response := record("key-response", part("keys", list(tString)), part("cursor", option(cursor)))
	key := param("key", tString)
	return interfaceOf{
		name: "wasi:keyvalue/store", version: d.version, resources: []*wit.Resource{d.bucket},
		functions: []function{
			{name: "open", typ: fnTo(result(own(d.bucket), d.failure), param("identifier", tString)), call: bucketOpen},
			{name: "[method]bucket.get", typ: fnTo(result(option(tBytes), d.failure), self(d.bucket), key), call: on(bucketGet)},
			{name: "[method]bucket.set", typ: fnTo(result(nil, d.failure), self(d.bucket), key, param("value", tBytes)), call: on(bucketSet)},
			{name: "[method]bucket.delete", typ: fnTo(result(nil, d.failure), self(d.bucket), key), call: on(bucketDelete)},
			{name: "[method]bucket.exists", typ: fnTo(result(tBool, d.failure), self(d.bucket), key), call: on(bucketExists)},
			{name: "[method]bucket.list-keys", typ: fnTo(result(response, d.failure), self(d.bucket), param("cursor", option(cursor))), call: on(d.bucketKeys)},
		},
	}
}

func (d *keyvalueDraft) atomics() interfaceOf {
	i := interfaceOf{name: "wasi:keyvalue/atomics", version: d.version}
	of, key := param("bucket", borrow(d.bucket)), param("key", tString)
	number := tU64
	if d.cas != nil {
		number = tS64
		swapped := variant("cas-error", part("store-error", d.failure), part("cas-failed", own(d.cas)))
		i.resources = []*wit.Resource{d.cas}
		i.functions = []function{
			{name: "[static]cas.new", typ: fnTo(result(own(d.cas), d.failure), of, key), call: on(casNew)},
			{name: "[method]cas.current", typ: fnTo(result(option(tBytes), d.failure), self(d.cas)), call: on(casCurrent)},
			{name: "swap", typ: fnTo(result(nil, swapped), param("cas", own(d.cas)), param("value", tBytes)), call: casSwap},
		}
	}
	i.functions = append(i.functions, function{
		name: "increment", typ: fnTo(result(number, d.failure), of, key, param("delta", number)), call: on(d.increment),
	})
	return i
}

func (d *keyvalueDraft) batch() interfaceOf {
	of, keys := param("bucket", borrow(d.bucket)), param("keys", list(tString))
	pair := tuple(tString, tBytes)
	return interfaceOf{
		name: "wasi:keyvalue/batch", version: d.version,
		functions: []function{
			{name: "get-many", typ: fnTo(result(list(option(pair)), d.failure), of, keys), call: on(bucketGetMany)},
			{name: "set-many", typ: fnTo(result(nil, d.failure), of, param("key-values", list(pair))), call: on(bucketSetMany)},
			{name: "delete-many", typ: fnTo(result(nil, d.failure), of, keys), call: on(bucketDeleteMany)},
		},
	}
}

// bucket is an open bucket.
type bucket struct{ name string }

func (*bucket) kind() kind           { return kindBucket }
func (b *bucket) code(c *wasi.Coder) { wasi.Text(c, &b.name, keyvalue.MaxBucket) }
func (b *bucket) weight() int        { return entryCost + len(b.name) }

// cas is what the value of a key was at a moment.
type cas struct {
	bucket, key string
	since       keyvalue.Version
}

func (*cas) kind() kind { return kindCas }

func (x *cas) code(c *wasi.Coder) {
	wasi.Text(c, &x.bucket, keyvalue.MaxBucket)
	wasi.Text(c, &x.key, keyvalue.MaxKey)
	wasi.Uint(c, &x.since, math.MaxUint64)
}

func (x *cas) weight() int { return entryCost + len(x.bucket) + len(x.key) }

// keyvalueResult makes a result of what the program can be told of.
func keyvalueResult(v wit.Value, err error) (wit.Value, error) {
	failure, err := keyvalueFailure(err)
	if failure != nil {
		return failed(failure), nil
	}
	return ok(v), err
}

// keyvalueFailure gives what the program is told of an error, or nil with one that
// is the host's.
func keyvalueFailure(err error) (wit.Value, error) {
	e := (*keyvalue.Error)(nil)
	switch {
	case !errors.As(err, &e):
		return nil, err
	case e.NoBucket:
		return label(keyvalueNoStore), nil
	}
	return wit.Case{Index: keyvalueOther, Payload: e.Reason}, nil
}

func bucketOpen(s *System, a []wit.Value) (wit.Value, error) {
	name := a[0].(string)
	if err := s.buckets.Check(name); err != nil {
		return keyvalueResult(nil, err)
	}
	rep, err := s.add(&bucket{name}, 0)
	return ok(rep), err
}

func bucketGet(s *System, b *bucket, a []wit.Value) (wit.Value, error) {
	v, err := s.keyed(b.name, a[1].(string))
	return keyvalueResult(v, err)
}

// keyed gives the value of a key, or none.
func (s *System) keyed(bucket, key string) (wit.Value, error) {
	v, exists, err := s.buckets.Get(bucket, key)
	if !exists {
		return none, err
	}
	return some(v), err
}

func bucketSet(s *System, b *bucket, a []wit.Value) (wit.Value, error) {
	return keyvalueResult(nil, s.buckets.Set(b.name, a[1].(string), a[2].([]byte)))
}

func bucketDelete(s *System, b *bucket, a []wit.Value) (wit.Value, error) {
	return keyvalueResult(nil, s.buckets.Delete(b.name, a[1].(string)))
}

func bucketExists(s *System, b *bucket, a []wit.Value) (wit.Value, error) {
	_, exists, err := s.buckets.Get(b.name, a[1].(string))
	return keyvalueResult(exists, err)
}

// bucketKeys lists a page of keys. A cursor is the last of them; of the first draft,
// whose cursor is a number, it is how many there were before.
func (d *keyvalueDraft) bucketKeys(s *System, b *bucket, a []wit.Value) (wit.Value, error) {
	behind, skip := "", uint64(0)
	if cursor, given := optional(a[1]); given {
		switch cursor := cursor.(type) {
		case string:
			behind = cursor
		case uint64:
			skip = cursor
		}
	}
	var keys []string
	more := true
	for passed := uint64(0); ; {
		page, err := s.buckets.Keys(b.name, behind)
		if err != nil {
			return keyvalueResult(nil, err)
		}
		passed += uint64(len(page))
		more = len(page) == keyvalue.MaxKeys
		if passed > skip || !more {
			keys = page[min(skip+uint64(len(page))-passed, uint64(len(page))):]
			break
		}
		behind = page[len(page)-1]
	}
	values, next := make([]wit.Value, len(keys)), none
	for i, k := range keys {
		values[i] = k
	}
	if more && len(keys) > 0 {
		if next = some(keys[len(keys)-1]); d.cas == nil {
			next = some(skip + uint64(len(keys)))
		}
	}
	return ok([]wit.Value{values, next}), nil
}

// increment adds a number, which the first draft has without a sign.
func (d *keyvalueDraft) increment(s *System, b *bucket, a []wit.Value) (wit.Value, error) {
	if d.cas != nil {
		sum, err := s.buckets.Increment(b.name, a[1].(string), a[2].(int64))
		return keyvalueResult(sum, err)
	}
	delta := a[2].(uint64)
	if delta > math.MaxInt64 {
		return failed(wit.Case{Index: keyvalueOther, Payload: "a number has at most 63 bits, and " + strconv.FormatUint(delta, 10) + " has more"}), nil
	}
	sum, err := s.buckets.Increment(b.name, a[1].(string), int64(delta))
	return keyvalueResult(uint64(sum), err)
}

func casNew(s *System, b *bucket, a []wit.Value) (wit.Value, error) {
	return s.newCas(b.name, a[1].(string))
}

func (s *System) newCas(bucket, key string) (wit.Value, error) {
	since, err := s.buckets.Version(bucket, key)
	if err != nil {
		return keyvalueResult(nil, err)
	}
	rep, err := s.add(&cas{bucket, key, since}, 0)
	return ok(rep), err
}

func casCurrent(s *System, x *cas, _ []wit.Value) (wit.Value, error) {
	v, err := s.keyed(x.bucket, x.key)
	return keyvalueResult(v, err)
}

// casSwap ends the cas, and gives a new one if others have written to the value.
func casSwap(s *System, a []wit.Value) (wit.Value, error) {
	x, err := take[*cas](s, a[0])
	if err != nil {
		return nil, err
	}
	done, err := s.buckets.Swap(x.bucket, x.key, x.since, a[1].([]byte))
	if failure, err := keyvalueFailure(err); failure != nil || err != nil {
		return failed(wit.Case{Payload: failure}), err
	}
	if done {
		return ok(nil), nil
	}
	since, err := s.buckets.Version(x.bucket, x.key)
	if err != nil {
		return nil, err
	}
	rep, err := s.add(&cas{x.bucket, x.key, since}, 0)
	return failed(wit.Case{Index: 1, Payload: rep}), err
}

// tooMany refuses more keys than a call can have, or gives nil.
func tooMany(n int) wit.Value {
	if n <= keyvalue.MaxKeys {
		return nil
	}
	return failed(wit.Case{Index: keyvalueOther, Payload: "one call can have " + strconv.Itoa(keyvalue.MaxKeys) + " keys"})
}

func bucketGetMany(s *System, b *bucket, a []wit.Value) (wit.Value, error) {
	keys := a[1].([]wit.Value)
	if refused := tooMany(len(keys)); refused != nil {
		return refused, nil
	}
	values, size := make([]wit.Value, len(keys)), 0
	for i, key := range keys {
		v, err := s.keyed(b.name, key.(string))
		if err != nil {
			return keyvalueResult(nil, err)
		}
		if value, exists := optional(v); exists {
			if size += len(value.([]byte)); size > maxHeld {
				return failed(wit.Case{Index: keyvalueOther, Payload: "the values have more than " + strconv.Itoa(maxHeld) + " bytes: get them in several calls"}), nil
			}
			v = some([]wit.Value{key, value})
		}
		values[i] = v
	}
	return ok(values), nil
}

// bucketSetMany sets one after the other: there is no promise that others see all
// or none. After a failure those before it are set.
func bucketSetMany(s *System, b *bucket, a []wit.Value) (wit.Value, error) {
	pairs := a[1].([]wit.Value)
	if refused := tooMany(len(pairs)); refused != nil {
		return refused, nil
	}
	for _, p := range pairs {
		pair := p.([]wit.Value)
		if err := s.buckets.Set(b.name, pair[0].(string), pair[1].([]byte)); err != nil {
			return keyvalueResult(nil, err)
		}
	}
	return ok(nil), nil
}

func bucketDeleteMany(s *System, b *bucket, a []wit.Value) (wit.Value, error) {
	keys := a[1].([]wit.Value)
	if refused := tooMany(len(keys)); refused != nil {
		return refused, nil
	}
	for _, key := range keys {
		if err := s.buckets.Delete(b.name, key.(string)); err != nil {
			return keyvalueResult(nil, err)
		}
	}
	return ok(nil), nil
}
