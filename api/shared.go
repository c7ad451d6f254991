package api

import "time"

// Bucket is what programs of a component share as values by keys. One of them may
// have the name "".
type Bucket struct {
	Name string `json:"name"`
}

// Value is a key of a bucket that has a value.
type Value struct {
	Key     string    `json:"key"`
	Size    uint64    `json:"size" doc:"Bytes of the value"`
	Written time.Time `json:"written" doc:"When it was written last"`
}

// Container is what programs of a component share as objects by names.
type Container struct {
	Name    string    `json:"name"`
	Created time.Time `json:"created"`
}

// Object is an object of a container.
type Object struct {
	Name    string    `json:"name"`
	Size    uint64    `json:"size" doc:"Bytes"`
	Created time.Time `json:"created" doc:"When this content of it was written"`
}
