package hostdir

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"path"
	"reflect"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/storage/memory"
)

var listed = []Node{
	{Path: ".", Kind: Directory, Mtime: 1},
	{Path: "a", Kind: Directory, Mtime: -5},
	{Path: "a/ü \"quoted\"\n", Kind: File, Size: 1 << 60, Mtime: 1 << 62},
	{Path: "link", Kind: Symlink, Target: "../outside"},
}

func TestListingIsReadBackAsItWas(t *testing.T) {
	blobs := memory.New().Blobs()
	h, err := Record(t.Context(), &machine{nodes: listed}, blobs, "/home/data")
	if err != nil {
		t.Fatal(err)
	}
	got, err := Listing(t.Context(), blobs, h)
	if err != nil || !reflect.DeepEqual(got, listed) {
		t.Errorf("got %+v, %v, want %+v", got, err, listed)
	}
}

func TestDirectoryThatCannotBeListedIsNotRecorded(t *testing.T) {
	trouble := errors.New("no such directory")
	blobs := memory.New().Blobs()
	if _, err := Record(t.Context(), &machine{fail: trouble}, blobs, "/home/data"); !errors.Is(err, trouble) {
		t.Errorf("got %v, want the host's error", err)
	}
	for h, err := range blobs.List(t.Context()) {
		t.Errorf("the blob %v is there, %v", h, err)
	}
	_, err := Record(t.Context(), &machine{nodes: listed}, full{blobs}, "/home/data")
	if !errors.Is(err, storage.ErrFull) || !strings.Contains(err.Error(), "keep the listing of /home/data") {
		t.Errorf("got %v, want the full disk and the directory", err)
	}
}

// decode reads text as a listing.
func decode(t testing.TB, text []byte) ([]Node, error) {
	t.Helper()
	blobs := memory.New().Blobs()
	h, _, err := blobs.Put(context.Background(), bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return Listing(context.Background(), blobs, h)
}

func TestListingsThatAreNotOursAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		``:                                 "unexpected end",
		`[]`:                               "cannot unmarshal",
		`{}`:                               "its format is 0, this waterbear reads 1",
		`{"version":2,"nodes":[]}`:         "its format is 2, this waterbear reads 1",
		`{"version":1,"nodes":[]} garbage`: "after top-level value",
		`{"version":1,"nodes":[{"Path":"a","Kind":1,"Size":-1}]}`: "cannot unmarshal",
		`{"version":1,"nodes":[{"Path":"a","Kind":999}]}`:         "cannot unmarshal",
		`{"version":1,"nodes":[{"Path":"","Kind":1}]}`:            `the path "" is not clean`,
		`{"version":1,"nodes":[{"Path":"../x","Kind":1}]}`:        `the path "../x" is not clean`,
		`{"version":1,"nodes":[{"Path":"/etc","Kind":1}]}`:        `the path "/etc" is not clean`,
		`{"version":1,"nodes":[{"Path":"a/./b","Kind":1}]}`:       `the path "a/./b" is not clean`,
		`{"version":1,"nodes":[{"Path":"a//b","Kind":1}]}`:        `the path "a//b" is not clean`,
		`{"version":1,"nodes":[{"Path":"a/","Kind":1}]}`:          `the path "a/" is not clean`,
		`{"version":1,"nodes":[{"Path":"a/..","Kind":1}]}`:        `the path "a/.." is not clean`,
		`{"version":1,"nodes":[{"Path":"a","Kind":0}]}`:           `"a" is of no known kind`,
		`{"version":1,"nodes":[{"Path":"a","Kind":4}]}`:           `"a" is of no known kind`,
	} {
		if _, err := decode(t, []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
}

func TestListingThatIsGoneIsAnError(t *testing.T) {
	if _, err := Listing(t.Context(), memory.New().Blobs(), storage.Hash{1}); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
}

func FuzzListingGivesCleanPathsOrAnError(f *testing.F) {
	f.Add([]byte(`{"version":1,"nodes":[{"Path":"a/b","Kind":1,"Size":5,"Mtime":1,"Target":""}]}`))
	f.Add([]byte(`{"version":1,"nodes":[{"Path":"../b","Kind":3}]}`))
	f.Add([]byte(`{"version":2}`))
	f.Add([]byte(`{"version":1,"nodes":[{"Path":"\ud800"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		nodes, err := decode(t, text)
		if err != nil {
			return
		}
		for _, n := range nodes {
			if !fs.ValidPath(n.Path) || path.Clean(n.Path) != n.Path || n.Kind < File || n.Kind > Symlink {
				t.Errorf("%+v is let through", n)
			}
		}
	})
}
