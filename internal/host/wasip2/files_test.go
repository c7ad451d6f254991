package wasip2

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/internal/host/filesystem"
	"github.com/waterbear-run/waterbear/internal/host/wasi"
	"github.com/waterbear-run/waterbear/wit"
)

const (
	openName      = "[method]descriptor.open-at"
	preadName     = "[method]descriptor.read"
	pwriteName    = "[method]descriptor.write"
	readStream    = "[method]descriptor.read-via-stream"
	writeStream   = "[method]descriptor.write-via-stream"
	appendStream  = "[method]descriptor.append-via-stream"
	mkdirName     = "[method]descriptor.create-directory-at"
	statName      = "[method]descriptor.stat"
	statAtName    = "[method]descriptor.stat-at"
	linkName      = "[method]descriptor.link-at"
	renameName    = "[method]descriptor.rename-at"
	symlinkName   = "[method]descriptor.symlink-at"
	unlinkName    = "[method]descriptor.unlink-file-at"
	rmdirName     = "[method]descriptor.remove-directory-at"
	readlinkName  = "[method]descriptor.readlink-at"
	setSizeName   = "[method]descriptor.set-size"
	getFlagsName  = "[method]descriptor.get-flags"
	entryName     = "[method]directory-entry-stream.read-directory-entry"
	readDirName   = "[method]descriptor.read-directory"
	fileCodeName  = "wasi:filesystem/types#filesystem-error-code"
	sameName      = "[method]descriptor.is-same-object"
	hashName      = "[method]descriptor.metadata-hash"
	hashAtName    = "[method]descriptor.metadata-hash-at"
	setTimesName  = "[method]descriptor.set-times"
	setTimesAtStr = "[method]descriptor.set-times-at"

	readWrite = flagRead | flagWrite
	nothing   = uint32(0)
)

// root is a descriptor of the directory "/".
func (r *rig) root() wit.Value {
	r.t.Helper()
	dirs := r.call("wasi:filesystem/preopens#get-directories").([]wit.Value)
	return dirs[0].([]wit.Value)[0]
}

// create makes a file with content.
func (r *rig) create(dir wit.Value, path, content string) wit.Value {
	r.t.Helper()
	d := r.ok(openName, dir, nothing, path, openCreate|openExclusive, readWrite)
	r.equal(r.ok(pwriteName, d, []byte(content), uint64(0)), uint64(len(content)))
	return d
}

// content is what a file has.
func (r *rig) content(d wit.Value) string {
	r.t.Helper()
	return string(r.ok(preadName, d, uint64(math.MaxUint64), uint64(0)).([]wit.Value)[0].([]byte))
}

func (r *rig) names(dir wit.Value) (names []string) {
	r.t.Helper()
	stream := r.ok(readDirName, dir)
	defer r.drop(stream)
	for {
		entry, more := optional(r.ok(entryName, stream))
		if !more {
			return names
		}
		e := entry.([]wit.Value)
		names = append(names, fmt.Sprintf("%s %s", e[1], descriptorType.Fields[e[0].(wit.Case).Index].Name))
	}
}

func TestPreopensAreGivenEachTimeAnew(t *testing.T) {
	files := filesystem.New(filesystem.Config{Now: func() uint64 { return 1 }})
	data, err := files.MkdirAll(filesystem.Root, "data")
	must(t, err)
	r := newRig(t, wasi.Config{FS: files, MaxFiles: 4, Preopens: []wasi.Preopen{{Name: "/", Dir: filesystem.Root}, {Name: "/d", Dir: data}}})
	for range 2 {
		dirs := r.call("wasi:filesystem/preopens#get-directories").([]wit.Value)
		r.equal(len(dirs), 2)
		one, two := dirs[0].([]wit.Value), dirs[1].([]wit.Value)
		r.equal([]any{one[1], two[1]}, []any{"/", "/d"})
		sub := r.ok(openName, one[0], nothing, "data", nothing, flagRead)
		r.equal(r.call(sameName, sub, two[0]), true)
		r.equal(r.call(sameName, one[0], two[0]), false)
		r.equal(r.ok(getFlagsName, two[0]), uint32(flagRead|flagMutate))
		r.drop(one[0], two[0], sub)
	}
	r.empty()
	r.root()
	r.root()
	r.traps("4 files open", "wasi:filesystem/preopens#get-directories")
}

func TestFilesAreReadAndWrittenAtOffsets(t *testing.T) {
	r := newRig(t, wasi.Config{})
	dir := r.root()
	f := r.create(dir, "file", "hello world")
	r.equal(r.ok(preadName, f, uint64(5), uint64(6)), []wit.Value{[]byte("world"), false})
	r.equal(r.ok(preadName, f, uint64(9), uint64(9)), []wit.Value{[]byte("ld"), false})
	r.equal(r.ok(preadName, f, uint64(9), uint64(11)), []wit.Value{[]byte{}, true})
	r.equal(r.ok(preadName, f, uint64(9), uint64(1<<40)), []wit.Value{[]byte{}, true})
	r.ok(pwriteName, f, []byte("!"), uint64(13))
	r.equal(r.content(f), "hello world\x00\x00!")
	r.ok(setSizeName, f, uint64(4))
	r.equal(r.content(f), "hell")
	r.fails("file-too-large", setSizeName, f, uint64(math.MaxUint64))
	for _, name := range []string{preadName, pwriteName} {
		var first wit.Value = uint64(1)
		if name == pwriteName {
			first = []byte("x")
		}
		r.fails("invalid", name, f, first, uint64(math.MaxUint64))
	}
	r.fails("file-too-large", pwriteName, f, []byte("x"), uint64(filesystem.MaxFileSize))
	r.ok("[method]descriptor.sync", f)
	r.ok("[method]descriptor.sync-data", f)
	r.ok("[method]descriptor.advise", f, uint64(0), uint64(9), label(2))
	r.fails("invalid", "[method]descriptor.advise", f, uint64(math.MaxUint64), uint64(9), label(2))
	r.fails("invalid", "[method]descriptor.advise", f, uint64(0), uint64(math.MaxUint64), label(2))
	r.drop(f, dir)
	r.empty()
}

func TestOneCallMovesNoMoreThanItsBound(t *testing.T) {
	r := newRig(t, wasi.Config{})
	f := r.create(r.root(), "file", strings.Repeat("x", maxTransfer+1))
	r.equal(len(r.content(f)), maxTransfer)
	in := r.ok(readStream, f, uint64(0))
	r.equal(len(r.ok(read, in, uint64(math.MaxUint64)).([]byte)), maxTransfer)
	r.equal(len(r.ok(read, in, uint64(math.MaxUint64)).([]byte)), 1)
}

func TestStreamsOfFilesGoOnWhereTheyWere(t *testing.T) {
	r := newRig(t, wasi.Config{})
	f := r.create(r.root(), "file", "")
	out := r.ok(writeStream, f, uint64(2))
	r.ok(writeFlush, out, []byte("one "))
	r.ok(writeFlush, out, []byte("two "))
	end := r.ok(appendStream, f)
	r.ok(pwriteName, f, []byte("x"), uint64(20))
	r.ok(writeFlush, end, []byte("end"))
	r.equal(r.content(f), "\x00\x00one two \x00\x00\x00\x00\x00\x00\x00\x00\x00\x00xend")
	r.ok(setSizeName, f, uint64(10))

	in := r.ok(readStream, f, uint64(6))
	r.equal(r.ok(read, in, uint64(0)), []byte{})
	r.equal(r.ok(read, in, uint64(2)), []byte("tw"))
	r.equal(r.ok(blockingRead, in, uint64(20)), []byte("o "))
	r.fails("closed", read, in, uint64(20))
	r.fails("closed", read, in, uint64(0))
	r.equal(r.call(ready, r.call(inSubscribe, in)), true)
	// It is open again when there is more.
	r.ok(writeFlush, end, []byte("more"))
	r.equal(r.ok(read, in, uint64(20)), []byte("more"))

	r.drop(f)
	r.equal(r.ok(splice, out, r.ok(readStream, r.create(r.root(), "other", "spliced"), uint64(3)), uint64(9)), uint64(4))
	r.equal(r.waits, []uint64(nil)) // nothing of this waits
}

func TestFailingStreamIsClosed(t *testing.T) {
	r := newRig(t, wasi.Config{FS: filesystem.New(filesystem.Config{Now: func() uint64 { return 1 }, Limits: filesystem.Limits{Bytes: 128 << 10}})})
	f := r.create(r.root(), "file", "")
	out := r.ok(writeStream, f, uint64(0))
	r.ok(checkWriteName, out)
	r.fails("last-operation-failed: no space left", writeName, out, make([]byte, 256<<10))
	for _, name := range []string{checkWriteName, "[method]output-stream.flush", "[method]output-stream.blocking-flush"} {
		r.fails("closed", name, out)
	}
	r.fails("closed", writeName, out, []byte("x"))
	r.fails("closed", writeFlush, out, []byte("x"))
	r.equal(r.call(ready, r.call(outSubscribe, out)), true)

	in := r.ok(readStream, f, uint64(1<<62))
	r.fails("closed", read, in, uint64(1))
	far := r.ok(writeStream, f, uint64(1<<62))
	c := r.call(writeFlush, far, []byte("x")).(wit.Case).Payload.(wit.Case)
	code, is := optional(r.call(fileCodeName, c.Payload))
	r.equal(is, true)
	r.equal(fileError.Fields[code.(wit.Case).Index].Name, "file-too-large")
	r.equal(r.call("wasi:http/types#http-error-code", c.Payload), none)
	r.equal(r.call("wasi:sockets/network#network-error-code", c.Payload), none)
	r.drop(c.Payload)
}

func TestOpeningGrantsWhatIsAskedFor(t *testing.T) {
	for _, c := range []struct {
		path       string
		how, flags uint32
		want       any // flags, or an error
	}{
		{"file", 0, 0, flagRead},
		{"file", 0, flagRead, flagRead},
		{"file", 0, flagWrite, flagWrite},
		{"file", 0, readWrite, readWrite},
		{"file", openExclusive, 0, flagRead},
		{"file", openTruncate, 0, readWrite},
		{"file", openTruncate, flagWrite, flagWrite},
		{"file", openCreate, 0, readWrite},
		{"file", openCreate, flagWrite, flagWrite},
		{"file", openCreate | openExclusive, flagRead, "exist"},
		{"file", openDirectory, flagRead, "not-directory"},
		{"file", 0, flagRead | flagMutate, flagRead},
		{"file", 0, readWrite | flagFileSync | flagDataSync | flagReadSync, readWrite | flagFileSync | flagDataSync | flagReadSync},
		{"new", 0, flagRead, "no-entry"},
		{"new", openCreate, flagRead, readWrite},
		{"new", openCreate | openExclusive, readWrite, readWrite},
		{"new/", openCreate, readWrite, "is-directory"},
		{"dir", 0, 0, flagRead},
		{"dir", openDirectory, flagRead | flagMutate, flagRead | flagMutate},
		{"dir", 0, flagWrite, "is-directory"},
		{"dir", openCreate, flagRead, "is-directory"},
		{"dir", openTruncate, flagRead, "is-directory"},
		{"new", openDirectory | openCreate, flagRead, "invalid"},
		{"dir", openDirectory | openExclusive, flagRead, "invalid"},
		{"dir", openDirectory | openTruncate, flagRead, "invalid"},
		{"link", 0, flagRead, "loop"},
		{"", 0, flagRead, "no-entry"},
		{"..", 0, flagRead, "not-permitted"},
		{"/", 0, flagRead, "not-permitted"},
		{"/file", 0, flagRead, "not-permitted"},
		{"dir/../../file", 0, flagRead, "not-permitted"},
		{"up/file", 0, flagRead, "not-permitted"},
		{"file\x00", 0, flagRead, "invalid"},
		{strings.Repeat("x", filesystem.MaxName+1), 0, flagRead, "name-too-long"},
		{strings.Repeat("x/", filesystem.MaxPath), 0, flagRead, "name-too-long"},
	} {
		r := newRig(t, wasi.Config{})
		dir := r.root()
		r.drop(r.create(dir, "file", "text"))
		r.ok(mkdirName, dir, "dir")
		r.ok(symlinkName, dir, "file", "link")
		r.ok(symlinkName, dir, "../", "up")
		got := r.call(openName, dir, nothing, c.path, c.how, c.flags).(wit.Case)
		if got.Index == 1 {
			if label := r.show(openName, got.Payload); label != c.want {
				t.Errorf("open %q %b %b: got the error %s, want %v", c.path, c.how, c.flags, label, c.want)
			}
			continue
		}
		if flags := r.ok(getFlagsName, got.Payload); flags != c.want {
			t.Errorf("open %q %b %b: got %b, want %v", c.path, c.how, c.flags, flags, c.want)
		}
		r.drop(got.Payload)
		r.equal(r.sys.files, 1)
	}
}

func TestDescriptorsAllowWhatTheyWereOpenedFor(t *testing.T) {
	r := newRig(t, wasi.Config{})
	dir := r.root()
	r.drop(r.create(dir, "file", "text"))
	in := r.ok(openName, dir, pathFollow, "file", nothing, flagRead)
	out := r.ok(openName, dir, pathFollow, "file", nothing, flagWrite)
	r.fails("bad-descriptor", pwriteName, in, []byte("x"), uint64(0))
	r.fails("bad-descriptor", writeStream, in, uint64(0))
	r.fails("bad-descriptor", appendStream, in)
	r.fails("invalid", setSizeName, in, uint64(1))
	r.fails("bad-descriptor", preadName, out, uint64(1), uint64(0))
	r.fails("bad-descriptor", readStream, out, uint64(0))
	r.fails("invalid", readStream, in, uint64(math.MaxUint64))
	r.fails("invalid", writeStream, out, uint64(math.MaxUint64))
	// What is for files is not for directories, and the other way round.
	r.fails("is-directory", readStream, dir, uint64(0))
	r.fails("bad-descriptor", writeStream, dir, uint64(0))
	r.fails("bad-descriptor", appendStream, dir)
	r.fails("bad-descriptor", preadName, dir, uint64(1), uint64(0))
	r.fails("bad-descriptor", pwriteName, dir, []byte("x"), uint64(0))
	r.fails("bad-descriptor", setSizeName, dir, uint64(0))
	r.fails("bad-descriptor", "[method]descriptor.advise", dir, uint64(0), uint64(0), label(0))
	r.ok("[method]descriptor.sync", dir)
	for name, args := range map[string][]wit.Value{
		openName:      {in, nothing, "x", nothing, flagRead},
		readDirName:   {in},
		mkdirName:     {in, "x"},
		rmdirName:     {in, "x"},
		unlinkName:    {in, "x"},
		statAtName:    {in, nothing, "x"},
		setTimesAtStr: {in, nothing, "x", label(timeNow), label(timeNow)},
		linkName:      {in, nothing, "x", dir, "y"},
		renameName:    {in, "x", dir, "y"},
		symlinkName:   {in, "x", "y"},
		readlinkName:  {in, "x"},
		hashAtName:    {in, nothing, "x"},
	} {
		r.fails("not-directory", name, args...)
	}
	r.fails("not-directory", linkName, dir, nothing, "file", in, "y")
	r.fails("not-directory", renameName, dir, "file", in, "y")
	r.equal(r.ok("[method]descriptor.get-type", in), label(typeRegular))
	r.equal(r.ok("[method]descriptor.get-type", dir), label(typeDirectory))
}

func TestPathsAreThoseOfTheFileSystem(t *testing.T) {
	r := newRig(t, wasi.Config{})
	dir := r.root()
	f := r.create(dir, "a", "text")
	r.ok(mkdirName, dir, "d")
	r.ok(mkdirName, dir, "d/e/")
	r.fails("exist", mkdirName, dir, "d")
	d := r.ok(openName, dir, nothing, "d", openDirectory, flagRead)
	r.fails("not-permitted", mkdirName, d, "../x")
	r.ok(linkName, dir, nothing, "a", d, "b")
	r.ok(renameName, d, "b", dir, "c")
	r.ok(symlinkName, dir, "a", "s")
	r.ok(linkName, dir, pathFollow, "s", dir, "followed")
	r.ok(linkName, dir, nothing, "s", dir, "t")
	r.equal(r.ok(readlinkName, dir, "t"), "a")
	r.fails("invalid", readlinkName, dir, "a")
	r.fails("not-permitted", symlinkName, dir, "/etc", "u")
	r.fails("not-permitted", linkName, dir, nothing, "d", dir, "u")
	r.equal(r.names(dir), []string{
		"a regular-file", "d directory", "c regular-file", "s symbolic-link", "followed regular-file", "t symbolic-link",
	})
	st := r.ok(statName, f).([]wit.Value)
	r.equal(st[:3], []wit.Value{label(typeRegular), uint64(3), uint64(4)})
	r.equal(r.ok(statAtName, dir, pathFollow, "s"), any(st))
	link := r.ok(statAtName, dir, nothing, "s").([]wit.Value)
	r.equal(link[:3], []wit.Value{label(typeSymlink), uint64(2), uint64(1)})
	r.equal(r.ok(hashAtName, dir, pathFollow, "s"), r.ok(hashName, f))
	if got := r.ok(hashAtName, dir, nothing, "s"); slices.Equal(got.([]wit.Value), r.ok(hashName, f).([]wit.Value)) {
		t.Error("a link and what it leads to have the same hash")
	}
	r.fails("no-entry", hashAtName, dir, nothing, "none")
	r.fails("is-directory", unlinkName, dir, "d")
	r.fails("not-empty", rmdirName, dir, "d")
	r.fails("not-directory", rmdirName, dir, "a")
	r.ok(rmdirName, d, "e")
	r.ok(rmdirName, dir, "d")
	r.fails("no-entry", mkdirName, d, "x") // what was removed takes nothing new
	for _, name := range []string{"a", "c", "followed", "s", "t"} {
		r.ok(unlinkName, dir, name)
	}
	r.equal(r.content(f), "text") // as long as it is open
	r.equal(r.names(dir), []string(nil))
	r.drop(f, d, dir)
	r.empty()
}

func TestTimesAreSetAsGiven(t *testing.T) {
	r := newRig(t, wasi.Config{})
	dir := r.root()
	f := r.create(dir, "file", "")
	r.ok(symlinkName, dir, "file", "link")
	given := func(seconds uint64, nanoseconds uint32) wit.Value {
		return wit.Case{Index: timeGiven, Payload: []wit.Value{seconds, nanoseconds}}
	}
	times := func(name string, follow uint32) []wit.Value {
		return r.ok(statAtName, dir, follow, name).([]wit.Value)[3:5]
	}
	r.ok(setTimesName, f, given(42, 1), given(69, 999_999_999))
	r.equal(times("file", 0), []wit.Value{some([]wit.Value{uint64(42), uint32(1)}), some([]wit.Value{uint64(69), uint32(999_999_999)})})
	before := times("link", 0)
	r.ok(setTimesAtStr, dir, pathFollow, "link", label(timeNoChange), given(7, 0))
	r.equal(times("file", 0), []wit.Value{some([]wit.Value{uint64(42), uint32(1)}), some([]wit.Value{uint64(7), uint32(0)})})
	r.equal(times("link", 0), before)
	r.ok(setTimesAtStr, dir, nothing, "link", given(1, 1), label(timeNoChange))
	r.equal(times("link", 0), []wit.Value{some([]wit.Value{uint64(1), uint32(1)}), before[1]})
	touched := r.touched
	r.ok(setTimesName, f, label(timeNow), label(timeNow))
	r.equal(r.touched, touched+1)
	now := times("file", 0)
	r.equal(now[0], now[1])
	r.fails("invalid", setTimesName, f, given(1, 1_000_000_000), label(timeNow))
	r.fails("overflow", setTimesName, f, label(timeNow), given(math.MaxUint64/nanosecondsPerSecond+1, 0))
	r.fails("overflow", setTimesName, f, label(timeNow), given(math.MaxUint64/nanosecondsPerSecond, 999_999_999))
	r.ok(setTimesName, f, given(math.MaxUint64/nanosecondsPerSecond, 0), given(0, 0))
	r.equal(times("file", 0)[1], some([]wit.Value{uint64(0), uint32(0)}))
}

func TestDirectoriesAreReadWhileTheyChange(t *testing.T) {
	r := newRig(t, wasi.Config{})
	dir := r.root()
	for i := range 10 {
		r.drop(r.create(dir, fmt.Sprint("f", i), ""))
	}
	stream, other := r.ok(readDirName, dir), r.ok(readDirName, dir)
	seen := 0
	for i := range 10 {
		entry, more := optional(r.ok(entryName, stream))
		r.equal(more, true)
		r.equal(entry.([]wit.Value)[1], any(fmt.Sprint("f", i)))
		r.ok(unlinkName, dir, fmt.Sprint("f", i))
		seen++
	}
	r.equal(r.ok(entryName, stream), none)
	r.equal(r.ok(entryName, stream), none)
	r.equal(r.ok(entryName, other), none)
	r.drop(r.create(dir, "late", ""))
	_, more := optional(r.ok(entryName, stream))
	r.equal(more, true)
}

func TestThereIsABoundOnOpenFiles(t *testing.T) {
	r := newRig(t, wasi.Config{MaxFiles: 3})
	dir := r.root()
	f := r.create(dir, "a", "")
	r.create(dir, "b", "")
	r.fails("insufficient-memory", openName, dir, nothing, "c", openCreate, readWrite)
	r.fails("no-entry", statAtName, dir, nothing, "c") // and it was not made
	r.drop(f)
	r.create(dir, "c", "")
}

func TestEveryFailureOfFilesHasACode(t *testing.T) {
	for _, e := range []filesystem.Error{
		filesystem.ErrAccess, filesystem.ErrBusy, filesystem.ErrEncoding, filesystem.ErrEscape, filesystem.ErrExist,
		filesystem.ErrInvalid, filesystem.ErrIO, filesystem.ErrIsDirectory, filesystem.ErrLoop,
		filesystem.ErrNameTooLong, filesystem.ErrNoSpace, filesystem.ErrNotDirectory, filesystem.ErrNotEmpty,
		filesystem.ErrNotExist, filesystem.ErrPermission, filesystem.ErrQuota, filesystem.ErrStale,
		filesystem.ErrTooBig, filesystem.ErrTooManyLinks, errBadDescriptor, errOverflow, errTooManyOpen,
	} {
		if _, known := fileErrors[e]; !known {
			t.Errorf("%s has none", e)
		}
		must(t, wit.Check(fileError, fileCode(e)))
		if len(e) > maxErrorText {
			t.Errorf("%s is longer than what an image keeps of it", e)
		}
	}
	r := newRig(t, wasi.Config{})
	r.equal(fileCode("something new"), fileCode(filesystem.ErrIO))
	if _, err := fileResult(nil, errBroken); !errors.Is(err, errBroken) {
		t.Errorf("a failure of the host: got %v", err)
	}
}

func TestLargeWritesOfStreamsReachTheFile(t *testing.T) {
	r := newRig(t, wasi.Config{})
	f := r.create(r.root(), "file", "")
	out := r.ok(writeStream, f, uint64(1))
	r.ok(checkWriteName, out)
	want := bytes.Repeat([]byte("0123456789abcdef"), maxTransfer/16)
	r.ok(writeName, out, want)
	r.equal(r.ok(statName, f).([]wit.Value)[2], uint64(maxTransfer+1))
	r.equal(r.content(f)[1:], string(want[:maxTransfer-1]))
}
