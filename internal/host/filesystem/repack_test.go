package filesystem_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	fsys "github.com/waterbear-run/waterbear/internal/host/filesystem"
)

func TestAManifestWithOtherNamesHasTheSameContent(t *testing.T) {
	w := newWorld(t, fsys.Limits{})
	for i := range 150 {
		w.write(fmt.Sprint(i), strings.Repeat(fmt.Sprint(i), 30000))
	}
	manifest, err := w.Encode()
	w.must(err)
	moved := map[fsys.Sum][]byte{}
	other, err := fsys.Repack(manifest, func(s fsys.Sum) (fsys.Sum, error) {
		name := s
		name[0] ^= 0xff
		moved[name] = w.packs.kept[s]
		return name, nil
	})
	if err != nil || len(moved) < 2 || len(moved) != len(w.packs.kept) {
		t.Fatalf("%d packs of %d were moved, %v", len(moved), len(w.packs.kept), err)
	}
	w.packs.kept = moved
	w.FS, err = fsys.Decode(other, w.config)
	w.must(err)
	for i := range 150 {
		if got := w.read(fmt.Sprint(i)); got != strings.Repeat(fmt.Sprint(i), 30000) {
			t.Errorf("file %d has other content", i)
		}
	}
	keep := func(s fsys.Sum) (fsys.Sum, error) { return s, nil }
	if same, err := fsys.Repack(manifest, keep); err != nil || !bytes.Equal(same, manifest) {
		t.Errorf("with the same names it is another: %v", err)
	}
	failed := errors.New("it is not to be had")
	if _, err := fsys.Repack(manifest, func(fsys.Sum) (fsys.Sum, error) { return fsys.Sum{}, failed }); !errors.Is(err, failed) {
		t.Errorf("got %v", err)
	}
	for n := range 100 {
		if got, err := fsys.Repack(manifest[:n], keep); err == nil {
			if _, err := fsys.Decode(got, w.config); err == nil {
				t.Errorf("its first %d bytes are taken for a manifest", n)
			}
		}
	}
}
