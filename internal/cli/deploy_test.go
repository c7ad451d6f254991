package cli

import (
	"slices"
	"testing"
)

func TestImportsAreShownByWhatTheyAreOf(t *testing.T) {
	got := importLines([]string{
		"wasi_snapshot_preview1.fd_write", "wasi:cli/environment@0.2.0", "wasi:keyvalue/store@0.2.0-draft.2",
		"waterbear:durable/workers@0.1.0.start", "waterbear:durable/workers@0.1.0.poll",
	})
	want := []string{
		"wasi:cli@0.2.0: environment", "wasi:keyvalue@0.2.0-draft.2: store", "wasi_snapshot_preview1: fd_write",
		"waterbear:durable/workers@0.1.0: start poll",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
