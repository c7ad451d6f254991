package oplog

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/storage"
)

// golden lets a new kind write its files. It never changes a file that is
// there: what is on people's disks does not change either.
var golden = flag.Bool("golden", false, "write the golden files that are missing")

// goldenIndex is where the golden entries are in their oplog.
const goldenIndex = 1<<33 + 7

// sample is what the tests need of a kind.
type sample struct {
	body Body                // in the golden files
	draw func(*rapid.T) Body // any body
}

// samples has every kind by its name.
var samples = map[string]sample{
	"Create": {body: &Create{
		At: 1_900_000_000_123_456_789, Epoch: 3, Program: hash(1), Args: []string{"prog", "--verbose", ""},
		Env: []string{"HOME=/", "LANG=C.UTF-8"}, Dirs: []Dir{{Host: "/srv/data", Guest: "/data", Tree: hash(2)}},
		Seed: hash(3), Memory: 1 << 32, Storage: 1 << 30, Files: 1024,
		Revision: 130, Ephemeral: true, Initial: hash(6), Settings: Payload(`{"env":["A=1"]}`),
	}, draw: drawing[Create]()},
	"HostCall":         {body: &HostCall{Func: 300, Request: []byte{1, 2}, Response: bytes.Repeat([]byte{0xa5}, 130)}, draw: drawing[HostCall]()},
	"HostCallStarted":  {body: &HostCallStarted{Func: 7, Request: []byte("until tomorrow"), Within: goldenIndex - 1}, draw: drawing[HostCallStarted]()},
	"HostCallFinished": {body: &HostCallFinished{Started: goldenIndex - 1, Response: []byte{}}, draw: drawing[HostCallFinished]()},
	"Log":              {body: &Log{Stream: Stderr, Bytes: []byte("grüße\n")}, draw: drawing[Log]()},
	"Exited":           {body: &Exited{At: 1_900_000_000_000_000_001, Code: 134, Files: hash(4)}, draw: drawing[Exited]()},
	"Error": {body: &Error{
		At: -1, Reason: "unreachable", Stack: []string{"main.main", "_start"}, Files: hash(5),
	}, draw: drawing[Error]()},
	"Interrupted": {body: &Interrupted{At: 0, Reason: "interrupt"}, draw: drawing[Interrupted]()},
	"Recovered":   {body: &Recovered{At: 1_900_000_000_000_000_000, Epoch: 4}, draw: drawing[Recovered]()},
	"InvocationAccepted": {body: &InvocationAccepted{
		At: 1_900_000_000_000_000_002, Key: "order-7", Function: "add", Args: Payload(`[1,"NaN"]`),
		Due: 1_900_000_060_000_000_000, Queue: 2, Caller: Caller{Worker: "shop/alice", Key: "order-6"}, Body: goldenIndex - 9,
	}, draw: drawing[InvocationAccepted]()},
	"InvocationStarted": {body: &InvocationStarted{
		At: 1_900_000_000_000_000_003, Accepted: goldenIndex - 2, Attempt: 200, Queue: 1,
	}, draw: drawing[InvocationStarted]()},
	"InvocationFinished": {body: &InvocationFinished{
		At: 1_900_000_000_000_000_004, Accepted: goldenIndex - 3, Started: goldenIndex - 2, Result: Payload(`[42]`), Queue: 0,
	}, draw: drawing[InvocationFinished]()},
	"InvocationFailed": {body: &InvocationFailed{
		At: 1_900_000_000_000_000_005, Accepted: goldenIndex - 4, Started: goldenIndex - 3, Attempt: 1, Code: "trap",
		Reason: "unreachable", Stack: []string{"fail", "main"}, Stderr: "grüße\n", Retry: 1_900_000_001_000_000_000, Queue: 1,
	}, draw: drawing[InvocationFailed]()},
	"InvocationCanceled": {body: &InvocationCanceled{
		At: 1_900_000_000_000_000_006, Accepted: goldenIndex - 1, Queue: 300,
	}, draw: drawing[InvocationCanceled]()},
	"Suspended":        {body: &Suspended{At: 1_900_000_000_000_000_007, Until: 1_900_086_400_000_000_000, For: "the first of 2 promises", Promises: []string{"k7f3q2", "b"}}, draw: drawing[Suspended]()},
	"Resumed":          {body: &Resumed{At: 1_900_000_000_000_000_008}, draw: drawing[Resumed]()},
	"Stuck":            {body: &Stuck{At: 1_900_000_000_000_000_009, Reason: "entry 12: the program made another call"}, draw: drawing[Stuck]()},
	"Image":            {body: &Image{At: 1_900_000_000_000_000_011, Covers: goldenIndex - 1, Blob: hash(7), Size: 1 << 20}, draw: drawing[Image]()},
	"Delta":            {body: &Delta{At: 1_900_000_000_000_000_012, Covers: goldenIndex - 1, After: goldenIndex - 300, State: Opaque{1, 2, 0xff}}, draw: drawing[Delta]()},
	"Archiving":        {body: &Archiving{At: 1_900_000_000_000_000_012, Blobs: []storage.Hash{hash(8), hash(9)}}, draw: drawing[Archiving]()},
	"HostCallRepeated": {body: &HostCallRepeated{At: 1_900_000_000_000_000_007, Started: 1<<33 + 2, Attempt: 2, Until: 1_900_000_001_000_000_000, Reason: "status 503"}, draw: drawing[HostCallRepeated]()},
	"Waypoint":         {body: &Waypoint{Atomic: true}, draw: drawing[Waypoint]()},
	"AtomicEnd":        {body: &AtomicEnd{Begin: goldenIndex - 5}, draw: drawing[AtomicEnd]()},
	"Jump": {body: &Jump{
		At: 1_900_000_000_000_000_014, From: goldenIndex - 4, Region: goldenIndex - 5, Code: "trap", Reason: "unreachable",
		Stack: []string{"fail", "main"}, Retry: 1_900_000_001_000_000_000, Outcome: Payload("paid"),
	}, draw: drawing[Jump]()},
	"Archived": {body: &Archived{
		At: 1_900_000_000_000_000_013, Below: goldenIndex - 100, Ended: 1234, Open: hash(9),
		Results: Shelving{Forget: 300, Added: []Archive{{
			From: 200, Below: goldenIndex - 100, Count: 1000, Oldest: 150, Newest: 1_900_000_000_000_000_001, Ended: 1234, Blob: hash(8), Size: 1 << 16,
		}}},
		Logs: Shelving{Forget: goldenIndex - 100, Added: []Archive{}},
	}, draw: drawing[Archived]()},
	"RequestBody":  {body: &RequestBody{First: goldenIndex - 5, Bytes: Payload("grüße\n")}, draw: drawing[RequestBody]()},
	"Response":     {body: &Response{Status: 404, Fields: []Field{{Name: "content-type", Value: Payload("text/plain")}, {Name: "x", Value: Payload{0xff}}}}, draw: drawing[Response]()},
	"ResponseBody": {body: &ResponseBody{Bytes: Payload("not found\n")}, draw: drawing[ResponseBody]()},
	"ResponseEnd":  {body: &ResponseEnd{Trailers: []Field{{Name: "sum", Value: Payload("1")}}, Failure: "the program has not finished it"}, draw: drawing[ResponseEnd]()},
	"PromiseCreated": {body: &PromiseCreated{
		At: 1_900_000_000_000_000_014, Promise: "k7f3q2", Accepted: goldenIndex - 2, Label: "approve grüße",
	}, draw: drawing[PromiseCreated]()},
	"PromiseSettled": {body: &PromiseSettled{
		At: 1_900_000_000_000_000_015, Promise: "k7f3q2", Failed: true, Value: Payload("no"), Key: "mail-7", By: "a webhook",
	}, draw: drawing[PromiseSettled]()},
	"PromiseTaken":     {body: &PromiseTaken{Promise: "k7f3q2"}, draw: drawing[PromiseTaken]()},
	"PromiseWithdrawn": {body: &PromiseWithdrawn{Promise: "k7f3q2"}, draw: drawing[PromiseWithdrawn]()},
	"CallHeld":         {body: &CallHeld{At: 1_900_000_000_000_000_015, Started: goldenIndex - 4}, draw: drawing[CallHeld]()},
	"CallResolved": {body: &CallResolved{
		At: 1_900_000_000_000_000_016, Started: goldenIndex - 5, How: CallDone, Response: Opaque{0, 200, 1},
	}, draw: drawing[CallResolved]()},
	"Forked": {body: &Forked{
		At: 1_900_000_000_000_000_017, Origin: id.Worker{Component: "shop", Name: "alice"}, Seed: hash(4), Key: "5b2c-7",
	}, draw: drawing[Forked]()},
	"Omitted": {body: &Omitted{Kind: "Image"}, draw: drawing[Omitted]()},
	"Due": {body: &Due{
		Worker: id.Worker{Component: "shop", Name: "alice"}, At: 1_900_000_060_000_000_001,
	}, draw: drawing[Due]()},
}

func hash(first byte) (h storage.Hash) {
	for i := range h {
		h[i] = first + byte(i)
	}
	return h
}

func drawing[T any, P interface {
	*T
	Body
}]() func(*rapid.T) Body {
	g := rapid.Make[T]()
	return func(t *rapid.T) Body {
		v := g.Draw(t, "body")
		return P(&v)
	}
}

// eachKind runs a test for every kind there is.
func eachKind(t *testing.T, test func(t *testing.T, k *kind, s sample)) {
	for number, k := range kinds {
		if k == nil {
			continue
		}
		t.Run(k.name, func(t *testing.T) {
			s, ok := samples[k.name]
			if !ok {
				t.Fatalf("kind %d has no sample", number)
			}
			test(t, k, s)
		})
	}
}

func TestEveryKindIsDeclaredOnceAtItsNumber(t *testing.T) {
	names := map[string]bool{}
	for number, k := range kinds {
		if (k == nil) != (number == 0) {
			t.Fatalf("the kinds are not numbered from 1 without a gap: see %d", number)
		}
		if k == nil {
			continue
		}
		if int(k.number) != number || names[k.name] {
			t.Errorf("kind %d is declared as %d, %s", number, k.number, k.name)
		}
		names[k.name] = true
		body := k.make()
		if body.kind() != k || Name(body) != k.name || Hint(body) != k.hint {
			t.Errorf("a new %s says that it is %s", k.name, Name(body))
		}
		if got := reflect.TypeOf(body).Elem().Name(); got != k.name {
			t.Errorf("%s is the struct %s", k.name, got)
		}
	}
	if len(samples) != len(names) {
		t.Errorf("there are %d kinds and %d samples", len(names), len(samples))
	}
}

func TestWhatIsWrittenIsReadBack(t *testing.T) {
	eachKind(t, func(t *testing.T, k *kind, s sample) {
		rapid.Check(t, func(t *rapid.T) {
			body := s.draw(t)
			index := rapid.Uint64().Draw(t, "index")
			prefix := rapid.SliceOf(rapid.Byte()).Draw(t, "prefix")
			written := appendEntry(&coder{}, bytes.Clone(prefix), index, body)
			if !bytes.HasPrefix(written, prefix) {
				t.Fatalf("appending changed what was there")
			}
			got, err := read(written[len(prefix):], index)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(full(got), full(body)) {
				t.Fatalf("got %+v, want %+v", got, body)
			}
			away := uint64(rapid.Uint32Min(1).Draw(t, "away"))
			for _, other := range []Index{index + away, index - away} {
				if _, err := read(written[len(prefix):], other); err == nil {
					t.Fatalf("entry %d is taken for entry %d", index, other)
				}
			}
		})
	})
}

// read reads b as one entry and nothing more.
func read(b []byte, index Index) (Body, error) {
	content, rest, err := cutEntry(b, index)
	if err != nil {
		return nil, err
	}
	if len(rest) > 0 {
		return nil, errTrailing
	}
	return readContent(content)
}

func readContent(content []byte) (Body, error) {
	body, err := newBody(content[0])
	if err != nil {
		return nil, err
	}
	return body, decode(&coder{}, content, body)
}

// full makes the nil slices in b's fields empty ones, as reading does.
func full(b Body) Body {
	v := reflect.ValueOf(b).Elem()
	for _, f := range v.Fields() {
		if f.Kind() == reflect.Slice && f.IsNil() {
			f.Set(reflect.MakeSlice(f.Type(), 0, 0))
		}
	}
	return b
}

// goldenFile gives the content of a file under testdata, or makes it.
func goldenFile(t *testing.T, name string, want []byte) []byte {
	t.Helper()
	path := filepath.Join("testdata", name)
	got, err := os.ReadFile(path)
	if os.IsNotExist(err) && *golden {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return want
	}
	if err != nil {
		t.Fatalf("%v: a new kind writes its files by go test ./internal/oplog -golden", err)
	}
	return got
}

// hexLines is b in hex, 32 bytes a line.
func hexLines(b []byte) []byte {
	var lines strings.Builder
	for len(b) > 0 {
		n := min(len(b), 32)
		fmt.Fprintf(&lines, "%x\n", b[:n])
		b = b[n:]
	}
	return []byte(lines.String())
}

func parseHex(t *testing.T, lines []byte) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(string(lines), "\n", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestEveryKindIsReadAndWrittenAsInVersion1(t *testing.T) {
	eachKind(t, func(t *testing.T, k *kind, s sample) {
		written := appendEntry(&coder{}, nil, goldenIndex, s.body)
		want := parseHex(t, goldenFile(t, filepath.Join("v1", k.name+".hex"), hexLines(written)))
		if !bytes.Equal(written, want) {
			t.Errorf("written as\n%swant\n%s", hexLines(written), hexLines(want))
		}
		body, err := read(want, goldenIndex)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(body, s.body) {
			t.Errorf("read as %+v, want %+v", body, s.body)
		}
	})
}

func TestEveryKindHasItsJSONView(t *testing.T) {
	eachKind(t, func(t *testing.T, k *kind, s sample) {
		got, err := json.MarshalIndent(s.body, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, '\n')
		if want := goldenFile(t, filepath.Join("json", k.name+".json"), got); !bytes.Equal(got, want) {
			t.Errorf("got\n%swant\n%s", got, want)
		}
	})
}

func TestEveryKindIsSpecified(t *testing.T) {
	spec, err := os.ReadFile("../../docs/OPLOG.md")
	if err != nil {
		t.Fatal(err)
	}
	eachKind(t, func(t *testing.T, k *kind, s sample) {
		title := fmt.Sprintf("\n### %d %s", k.number, k.name)
		if k.hint {
			title += " (hint)"
		}
		_, section, ok := strings.Cut(string(spec), title+"\n")
		if !ok {
			t.Fatalf("docs/OPLOG.md has no section %q", strings.TrimSpace(title))
		}
		section, _, _ = strings.Cut(section, "\n#")
		v := reflect.TypeOf(s.body).Elem()
		at := 0
		for f := range v.Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name == "-" {
				name = strings.ToLower(f.Name)
			}
			row := fmt.Sprintf("\n| `%s` |", name)
			next := strings.Index(section[at:], row)
			if next < 0 {
				t.Fatalf("its section has no row %q behind those of the fields before", strings.TrimSpace(row))
			}
			at += next + 1
		}
		if got := strings.Count(section, "\n| `"); got != v.NumField() {
			t.Errorf("its section has %d fields, the struct %d", got, v.NumField())
		}
	})
}

func TestTheLimitsAreSpecified(t *testing.T) {
	spec, err := os.ReadFile("../../docs/OPLOG.md")
	if err != nil {
		t.Fatal(err)
	}
	for what, n := range map[string]int{
		"Format version": Version, "One entry, length and checksum included": MaxEntry,
		"One chunk": storage.MaxChunk, "Bytes of a chunk's header": chunkHeader,
	} {
		if row := fmt.Sprintf("\n| %s | %d |", what, n); !strings.Contains(string(spec), row) {
			t.Errorf("docs/OPLOG.md has no row %q", strings.TrimSpace(row))
		}
	}
}

func TestADamagedGoldenEntryIsRefused(t *testing.T) {
	eachKind(t, func(t *testing.T, k *kind, s sample) {
		whole := appendEntry(&coder{}, nil, goldenIndex, s.body)
		for n := range whole {
			if _, err := read(whole[:n], goldenIndex); err == nil {
				t.Errorf("its first %d bytes are taken for an entry", n)
			}
		}
		damaged := bytes.Clone(whole)
		for i := range damaged {
			for _, x := range changes() {
				damaged[i] = whole[i] ^ x
				if body, err := read(damaged, goldenIndex); err == nil {
					t.Errorf("with byte %d changed to %#x it is read as %+v", i, damaged[i], body)
				}
			}
			damaged[i] = whole[i]
		}
	})
}

// changes are what a byte is changed by: everything, or one bit when short.
func changes() (list []byte) {
	for x := 1; x < 256; x++ {
		if !testing.Short() || x&(x-1) == 0 {
			list = append(list, byte(x))
		}
	}
	return list
}

// TestAnyContentIsRefusedOrReadExactly looks behind the checksum.
func TestAnyContentIsRefusedOrReadExactly(t *testing.T) {
	eachKind(t, func(t *testing.T, k *kind, s sample) {
		content, _, err := cutEntry(appendEntry(&coder{}, nil, goldenIndex, s.body), goldenIndex)
		if err != nil {
			t.Fatal(err)
		}
		for n := 1; n < len(content); n++ {
			if err := checkContent(content[:n]); err != nil {
				t.Errorf("cut to %d bytes: %v", n, err)
			}
		}
		damaged := bytes.Clone(content)
		for i := range damaged {
			for _, x := range changes() {
				damaged[i] = content[i] ^ x
				if err := checkContent(damaged); err != nil {
					t.Errorf("with byte %d changed to %#x: %v", i, damaged[i], err)
				}
			}
			damaged[i] = content[i]
		}
	})
}

// checkContent demands that content is refused, or read as a body that gives
// these very bytes again and whose methods work.
func checkContent(content []byte) error {
	body, err := readContent(content)
	if err != nil {
		return nil
	}
	if _, err := json.Marshal(body); err != nil {
		return fmt.Errorf("JSON of %+v: %w", body, err)
	}
	if number := content[0]; kinds[number].name != Name(body) || kinds[number].hint != Hint(body) {
		return fmt.Errorf("kind %d is read as %s", number, Name(body))
	}
	c := coder{b: []byte{content[0]}}
	body.fields(&c)
	if !bytes.Equal(c.b, content) {
		return fmt.Errorf("%x is read as %+v, which is written as %x", content, body, c.b)
	}
	return nil
}

// TestReadingAllocatesInProportionToTheInput gives lists and strings any
// length that a varint can say.
func TestReadingAllocatesInProportionToTheInput(t *testing.T) {
	eachKind(t, func(t *testing.T, k *kind, s sample) {
		c := coder{b: []byte{k.number}}
		s.body.fields(&c)
		for _, hostile := range [][]byte{
			{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}, // 2^64-1
			{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},       // 2^63-1
			{0xff, 0xff, 0xff, 0xff, 0x07},                               // 2^31-1
			{0x80, 0x80, 0x40},                                           // 2^20
		} {
			for at := 1; at <= len(c.b); at++ {
				content := append(append(bytes.Clone(c.b[:at]), hostile...), make([]byte, 100)...)
				if got, most := allocated(content), uint64(4096+32*len(content)); got > most {
					t.Fatalf("reading %d bytes with %x at %d allocates %d, want at most %d", len(content), hostile, at, got, most)
				}
			}
		}
	})
}

func allocated(content []byte) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, _ = readContent(content)
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestStreamsAndTimesAreReadable(t *testing.T) {
	for stream, want := range map[Stream]string{Stdout: "stdout", Stderr: "stderr", 0: "stream 0", 1 << 63: "stream 9223372036854775808"} {
		if got := stream.String(); got != want {
			t.Errorf("stream %d is called %q, want %q", uint64(stream), got, want)
		}
	}
	at := Time(1_900_000_000_123_456_789)
	if At(at.Time()) != at {
		t.Errorf("%d becomes %d by way of time.Time", at, At(at.Time()))
	}
	text, err := at.MarshalText()
	if want := "2030-03-17T17:46:40.123456789Z"; err != nil || string(text) != want {
		t.Errorf("MarshalText() = %s, %v, want %s", text, err, want)
	}
	for want, payload := range map[string]Payload{`{"text":"grün"}`: Payload("grün"), `{"base64":"/w=="}`: {0xff}, `{"text":""}`: nil} {
		if got, err := json.Marshal(payload); err != nil || string(got) != want {
			t.Errorf("JSON of %x is %s, %v, want %s", []byte(payload), got, err, want)
		}
	}
}

// FuzzEntry gives cutEntry and, behind the checksum, every decoder any bytes.
func FuzzEntry(f *testing.F) {
	for _, s := range samples {
		f.Add(appendEntry(&coder{}, nil, 1, s.body))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		content, rest, err := cutEntry(b, 1)
		if err == nil && len(content)+len(rest)+4 >= len(b) {
			t.Fatalf("an entry of %d and a rest of %d bytes are cut from %d", len(content), len(rest), len(b))
		}
		if len(b) > 0 {
			if err := checkContent(b); err != nil {
				t.Fatal(err)
			}
		}
	})
}
