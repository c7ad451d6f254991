// Package durable is the text of the WIT package waterbear:durable, what a
// program can ask of the platform that it runs on beyond WASI: one file per
// interface, and the world in which all are imported. Package
// internal/host/platform performs it; guests' tools read the files as they are.
package durable

import "embed"

// Files are the *.wit of the package, in their root.
//
//go:embed *.wit
var Files embed.FS
