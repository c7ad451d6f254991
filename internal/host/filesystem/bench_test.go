package filesystem_test

import (
	"fmt"
	"testing"

	fsys "github.com/waterbear-run/waterbear/internal/host/filesystem"
)

func BenchmarkWrite4KiB(b *testing.B) {
	w := newWorld(b, fsys.Limits{})
	i := w.write("f", "")
	p := make([]byte, 4<<10)
	b.SetBytes(int64(len(p)))
	for k := 0; b.Loop(); k++ {
		if _, err := w.WriteAt(i, p, uint64(k)*4096%(64<<20)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRead4KiB(b *testing.B) {
	w := newWorld(b, fsys.Limits{})
	i := w.write("f", "")
	p := make([]byte, 64<<20)
	if _, err := w.WriteAt(i, p, 0); err != nil {
		b.Fatal(err)
	}
	p = p[:4096]
	b.SetBytes(int64(len(p)))
	for k := 0; b.Loop(); k++ {
		if _, err := w.ReadAt(i, p, uint64(k)*4096%(64<<20)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCreateAndRemoveAmong100000(b *testing.B) {
	w := newWorld(b, fsys.Limits{})
	for i := range 100000 {
		w.write(fmt.Sprint(i), "")
	}
	b.ReportAllocs()
	for b.Loop() {
		i, err := w.Open(fsys.Root, "new", fsys.OpenOptions{Create: true})
		if err == nil {
			err = w.Release(i)
		}
		if err == nil {
			err = w.Unlink(fsys.Root, "new")
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCloneAndWrite(b *testing.B) {
	w := newWorld(b, fsys.Limits{})
	for i := range 100000 {
		w.write(fmt.Sprint(i), "content")
	}
	i := w.find("77777")
	b.ReportAllocs()
	for b.Loop() {
		w.FS = w.Clone()
		if _, err := w.WriteAt(i, []byte("other"), 0); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncode100000Files(b *testing.B) {
	w := newWorld(b, fsys.Limits{})
	for i := range 100000 {
		w.write(fmt.Sprint(i), "content")
	}
	for b.Loop() {
		manifest, err := w.Encode()
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(len(manifest))/100000, "B/file")
	}
}

func BenchmarkDecode100000Files(b *testing.B) {
	w := newWorld(b, fsys.Limits{})
	for i := range 100000 {
		w.write(fmt.Sprint(i), "content")
	}
	manifest, err := w.Encode()
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := fsys.Decode(manifest, w.config); err != nil {
			b.Fatal(err)
		}
	}
}
