// Package wasm runs core modules on wazero, and is the only package that
// imports it. It hides compilation and its cache, linear memory as an mmap
// reservation, preemption and stopping, limits, traps.
package wasm
