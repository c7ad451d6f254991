// A library that has forgotten to export what the host allocates by.
package main

import "unsafe"

var result [2]uint32

//go:wasmexport key
func key() { idempotencyKey(unsafe.Pointer(&result)) }

//go:wasmimport waterbear:durable/context@0.1.0 idempotency-key
func idempotencyKey(result unsafe.Pointer)

func main() {}
