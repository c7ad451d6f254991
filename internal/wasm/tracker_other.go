//go:build !linux

package wasm

import "errors"

func openTracker(Tracker) (pageTracker, error) {
	return nil, errors.New("only Linux tells which pages were written to")
}

func openWatcher(pageTracker) (pageWatcher, error) {
	return nil, errors.New("only Linux watches pages")
}
