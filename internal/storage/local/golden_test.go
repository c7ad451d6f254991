package local

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/internal/id"
)

// golden compares bytes with those of a file that is never edited: what it has
// must be readable, and written, for ever.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", "v1", name)
	text, err := os.ReadFile(path)
	if os.IsNotExist(err) && os.Getenv("WATERBEAR_NEW_GOLDEN") != "" {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		err = os.WriteFile(path, []byte(hex.Dump(got)), 0o644)
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != hex.Dump(got) {
		t.Errorf("%s: got\n%swant\n%s", path, hex.Dump(got), text)
	}
}

func TestTheFormatsAreThoseOfVersionOne(t *testing.T) {
	h := fileHeader{number: 3, salt: 0x0123456789abcdef, firstSeq: 9, previous: 2, previousEnd: 4096}
	golden(t, "fileheader.hex", h.encode())
	for i, r := range everyKind() {
		name := []string{"segment", "chunk", "chunk2", "moved", "shard", "truncate", "delete", "cell", "celldelete", "blob", "blobdelete"}[i]
		golden(t, name+".hex", encode(h.salt, 12, []record{r}))
	}
	golden(t, "frame.hex", encode(h.salt, 12, everyKind()))
}

// TestTheExampleOfTheDocument reads the frame that docs/STORAGE.md takes apart.
func TestTheExampleOfTheDocument(t *testing.T) {
	text, err := os.ReadFile("../../../docs/STORAGE.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, ok := strings.Cut(string(text), "```frame\n")
	example, _, ok2 := strings.Cut(example, "```")
	if !ok || !ok2 {
		t.Fatal("there is no example")
	}
	var b []byte
	for line := range strings.Lines(example) {
		digits, _, _ := strings.Cut(line, "  ")
		part, err := hex.DecodeString(strings.ReplaceAll(digits, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		b = append(b, part...)
	}
	want := encode(0x0123456789abcdef, 12, []record{
		{kind: kindSegment, shard: 0, epoch: 3, head: 7},
		{kind: kindChunk, worker: id.Worker{Component: "run", Name: "a"}, first: 5, count: 2, bytes: []byte("entries")},
	})
	if !bytes.Equal(b, want) {
		t.Errorf("the example is\n%swant\n%s", hex.Dump(b), hex.Dump(want))
	}
}
