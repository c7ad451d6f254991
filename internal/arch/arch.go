// Package arch is the architecture as data, and the tests that hold the code to
// it: who may import whom, which standard packages and calls are kept to a few
// places, and how things may not be called. It has no code of its own; the
// rules are in rules_test.go, and the table of imports is in
// docs/ARCHITECTURE.md as well.
package arch
