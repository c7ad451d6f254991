//go:build hosted

package export_wit_world

import (
	. "go.bytecodealliance.org/pkg/wit/types"

	host "wit_component/waterbear_kit_host"
	"wit_component/waterbear_kit_levels"
)

func Fill(name string, entries []Tuple2[string, []uint8]) Result[[]string, string] {
	bucket := host.MakeBucket(name)
	defer bucket.Drop()
	for _, entry := range entries {
		host.Log(waterbear_kit_levels.Level_Debug, entry.F0)
		if put := bucket.Put(entry.F0, entry.F1); put.IsErr() {
			host.Log(waterbear_kit_levels.Level_Warning, put.Err())
			return Err[[]string](put.Err())
		}
	}
	return Ok[[]string, string](bucket.Keys())
}

func LookUp(name, key string) Option[[]uint8] {
	opened := host.BucketOpen(name)
	if opened.IsErr() {
		host.Log(waterbear_kit_levels.Level_Error, opened.Err())
		return None[[]uint8]()
	}
	bucket := opened.Ok()
	defer bucket.Drop()
	return bucket.Get(key)
}

func Weigh(bucket *host.Bucket) uint64 {
	defer bucket.Drop()
	var weight uint64
	for _, key := range bucket.Keys() {
		weight += uint64(len(bucket.Get(key).SomeOr(nil)))
	}
	return weight
}

var held *host.Bucket

func Hold(bucket *host.Bucket) Option[*host.Bucket] {
	before := held
	held = bucket
	if before == nil {
		return None[*host.Bucket]()
	}
	return Some(before)
}

func Discard() Option[uint32] {
	if held == nil {
		return None[uint32]()
	}
	bucket := held
	held = nil
	return Some(host.Remove(bucket))
}
