package inbound

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// anyRequest draws a request that can have come in.
func anyRequest(t *rapid.T) *Request {
	fields := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Field {
		return Field{rapid.StringMatching(`[A-Za-z0-9-]{1,20}`).Draw(t, "name"), rapid.SliceOf(rapid.Byte()).Draw(t, "value")}
	}), 0, 5)
	r := &Request{
		Method: rapid.StringMatching(`[A-Z]{1,8}`).Draw(t, "method"), Scheme: rapid.SampledFrom([]string{"http", "https"}).Draw(t, "scheme"),
		Authority: "example.com", Path: "/" + rapid.StringMatching(`[!-~]{0,30}`).Draw(t, "path"),
		Fields: fields.Draw(t, "fields"), Trailers: fields.Draw(t, "trailers"),
	}
	if r.Body = Inline(rapid.SliceOf(rapid.Byte()).Draw(t, "body")); rapid.Bool().Draw(t, "stored") && r.Body.Size > 0 {
		r.Body.Bytes, r.Body.Stored = nil, true
	}
	return r
}

func TestRequestsAreArgumentsAndBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := anyRequest(t)
		args, err := want.Args()
		if err != nil {
			t.Fatal(err)
		}
		got, err := Parse(args)
		if err != nil {
			t.Fatal(err)
		}
		again, err := got.Args()
		if err != nil || !bytes.Equal(again, args) {
			t.Fatalf("%s comes back as %s, %v", args, again, err)
		}
		if got.Body.Stored != want.Body.Stored || !bytes.Equal(got.Body.Bytes, want.Body.Bytes) || got.Path != want.Path {
			t.Fatalf("got %+v, want %+v", got, want)
		}
		for i, f := range want.Fields {
			if !bytes.Equal(got.Fields[i].Value, f.Value) || got.Fields[i].Name != f.Name {
				t.Fatalf("got %+v, want %+v", got.Fields[i], f)
			}
		}
	})
}

// TestTheLongestRequestFitsInAnEntry has whatever JSON has the longest forms of.
func TestTheLongestRequestFitsInAnEntry(t *testing.T) {
	const maxArgs = 512 << 10 // worker.MaxArgs
	for _, filler := range []string{"x", "\"", "<", "\u2028", "\x01", "\x7f", "ü", "\xff"} {
		long := strings.Repeat(filler, MaxHead/len(filler))
		r := &Request{Method: "PUT", Path: "/", Fields: []Field{{"a", []byte(long[:MaxHead-100])}}}
		r.Body = Inline([]byte(strings.Repeat(filler, MaxInline/len(filler))))
		if r.Size() > MaxHead {
			t.Fatalf("the head has %d bytes", r.Size())
		}
		args, err := r.Args()
		if err != nil || len(args) > maxArgs {
			t.Errorf("%q: %d bytes, %v", filler, len(args), err)
		}
		if got, err := Parse(args); err != nil || !reflect.DeepEqual(got.Body, r.Body) {
			t.Errorf("%q: it does not come back: %v", filler, err)
		}
	}
}

func TestWhatIsNoRequestIsRefused(t *testing.T) {
	for _, args := range []string{
		``, `[]`, `[null]`, `[1]`, `{}`, `[{},{}]`, `[{"fields":[["a"]]}]`, `[{"fields":[["a","b","c"]]}]`, `[{"fields":[[1,"b"]]}]`, `[{"fields":[["a",1]]}]`,
		`[{"body":{"size":3,"text":"abcd","sha256":"` + strings.Repeat("00", 32) + `"}}]`, `[{"body":{"size":3}}]`, `[{"body":{"size":3,"sha256":"00"}}]`,
	} {
		if r, err := Parse([]byte(args)); err == nil {
			t.Errorf("%s is taken for %+v", args, r)
		}
	}
	for _, result := range []string{``, `[]`, `[1]`, `[{},{}]`} {
		if r, err := ParseResult([]byte(result)); err == nil {
			t.Errorf("%s is taken for %+v", result, r)
		}
	}
}

func TestTheSameRequestMayHaveOtherFields(t *testing.T) {
	one := Request{Method: "PUT", Authority: "a", Path: "/x", Body: Inline([]byte("b"))}
	other := one
	other.Authority, other.Scheme, other.Fields = "b", "https", []Field{{"Date", []byte("now")}}
	if !one.Same(&other) {
		t.Error("fields and the host make it another")
	}
	for name, change := range map[string]func(r *Request){
		"method": func(r *Request) { r.Method = "POST" }, "path": func(r *Request) { r.Path = "/y" }, "body": func(r *Request) { r.Body = Inline([]byte("c")) },
	} {
		other := one
		if change(&other); one.Same(&other) {
			t.Errorf("another %s is the same", name)
		}
	}
}
