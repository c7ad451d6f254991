package access_test

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/internal/access"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/storage/memory"
)

var approval = id.Promise{Worker: id.Worker{Component: "shop", Name: "alice"}, Name: "k7f3q2"}

// draw is entropy that is not the same twice.
func draw() func([]byte) error {
	n := byte(0)
	return func(b []byte) error {
		n++
		for i := range b {
			b[i] = n
		}
		return nil
	}
}

func TestAHookLetsInAfterARestart(t *testing.T) {
	cells, entropy := memory.New().Cells(), draw()
	h, err := access.OpenHooks(t.Context(), cells, entropy)
	if err != nil {
		t.Fatal(err)
	}
	again, err := access.OpenHooks(t.Context(), cells, entropy)
	if err != nil || again.Damaged != nil {
		t.Fatal(err, again.Damaged)
	}
	if p, ok := again.Find(h.Make(approval)); !ok || p != approval {
		t.Errorf("got %v, %t", p, ok)
	}
}

func TestWhatIsNoHookLetsNobodyIn(t *testing.T) {
	h, err := access.OpenHooks(t.Context(), memory.New().Cells(), draw())
	if err != nil {
		t.Fatal(err)
	}
	hook := h.Make(approval)
	raw, _ := base64.RawURLEncoding.DecodeString(hook)
	for i := range raw {
		other := []byte(string(raw))
		other[i] ^= 1
		if p, ok := h.Find(base64.RawURLEncoding.EncodeToString(other)); ok {
			t.Errorf("with byte %d changed it lets in to %v", i, p)
		}
	}
	for _, bad := range []string{"", "x", hook[1:], hook[:len(hook)-1], hook + "A", hook + "=", strings.Repeat("A", 2000)} {
		if p, ok := h.Find(bad); ok {
			t.Errorf("%q lets in to %v", bad, p)
		}
	}
	other, err := access.OpenHooks(t.Context(), memory.New().Cells(), func(b []byte) error { b[0] = 9; return nil })
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := other.Find(hook); ok {
		t.Error("the hook of one node lets in to another")
	}
}

func TestADamagedSecretOfHooksIsReplacedAndTold(t *testing.T) {
	cells := memory.New().Cells()
	if _, err := cells.Put(t.Context(), "hooks", 0, []byte("short")); err != nil {
		t.Fatal(err)
	}
	entropy := draw()
	h, err := access.OpenHooks(t.Context(), cells, entropy)
	if err != nil || h.Damaged == nil {
		t.Fatalf("got %v, damaged: %v", err, h.Damaged)
	}
	again, err := access.OpenHooks(t.Context(), cells, entropy)
	if _, ok := again.Find(h.Make(approval)); err != nil || again.Damaged != nil || !ok {
		t.Errorf("the new one is not kept: %v, %v, %t", err, again.Damaged, ok)
	}
}

func TestHooksNeedChance(t *testing.T) {
	broken := errors.New("no entropy")
	if _, err := access.OpenHooks(t.Context(), memory.New().Cells(), func([]byte) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}
