package binary_test

import (
	"testing"

	"github.com/waterbear-run/waterbear/internal/component/binary"
)

func mustDecode(t *testing.T, name string, source []byte) *binary.Component {
	t.Helper()
	c, err := binary.Decode(source)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return c
}
