package exchange

import (
	"fmt"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/internal/durable"
)

func TestSecretsAreNotShown(t *testing.T) {
	for path, want := range map[string]string{
		"/a?b=c&access_token=hush":                             "/a?b=c&access_token=(hidden)",
		"/a?API-Key=hush#top":                                  "/a?API-Key=(hidden)#top",
		"/a?key=hush;sig=hush":                                 "/a?key=(hidden)&sig=(hidden)",
		"/a?X-Amz-Signature=hush&X-Amz-Credential=hush&page=2": "/a?X-Amz-Signature=(hidden)&X-Amz-Credential=(hidden)&page=2",
		"/a?%74oken=hush":                                      "/a?%74oken=(hidden)",
		"/a?tok%65n=hush":                                      "/a?tok%65n=(hidden)",
		"/a?client_secret=":                                    "/a?client_secret=",
		"/a?monkey=1&zipcode=":                                 "/a?monkey=1&zipcode=",
		"/token/5":                                             "/token/5",
		"?pass%":                                               "?pass%",
	} {
		r := Request{Method: "GET", Scheme: "https", Authority: "a.example", Path: path}
		got := send.ShowRequest(newTicket(&r).append(nil))
		if want := "GET https://a.example" + want; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if strings.Contains(got, "hush") {
			t.Errorf("%s tells a secret", got)
		}
	}
	fields := []Field{{"Accept", []byte("*/*")}, {"idempotency-key", []byte("k-1")}, {"AUTHORIZATION", []byte("Bearer hush")}, {"X-Api-Key", []byte("hush")}}
	for i, name := range []string{"Cookie", "proxy-authorization", "X-Amz-Security-Token", "X-Session", "X-CSRF-Token"} {
		fields = append(fields, Field{name, fmt.Appendf(nil, "hush%d", i)})
	}
	r := Request{Method: "POST", Headers: fields, Body: []byte("hush")}
	facts := send.RequestFacts(newTicket(&r).append(nil))
	lines := strings.Join(facts.Lines, "\n")
	if facts.Key != "k-1" || strings.Contains(lines, "hush") || !strings.Contains(lines, "Accept: */*") || !strings.Contains(lines, "idempotency-key: k-1") || !strings.Contains(lines, "body: 4 bytes") {
		t.Errorf("of the request there is the key %q and\n%s", facts.Key, lines)
	}
	h := Head{Status: 302, Headers: []Field{{"Set-Cookie", []byte("sid=hush")}, {"Location", []byte("https://me:hush@b.example/?code=hush&a=b")}, {"Date", []byte("today")}}}
	facts = send.ResponseFacts(h.append(nil))
	if got, want := strings.Join(facts.Lines, "\n"), "Set-Cookie: (hidden)\nLocation: https://(hidden)@b.example/?code=(hidden)&a=b\nDate: today"; got != want {
		t.Errorf("of the response there is\n%s\nwant\n%s", got, want)
	}
}

func TestWhatIsShownIsBounded(t *testing.T) {
	var fields []Field
	for range 10 * maxShownFields {
		fields = append(fields, Field{"a", []byte(strings.Repeat("ü", 200))})
	}
	fields[0].Value = []byte(strings.Repeat("ü", maxShownField))
	r := Request{Method: strings.Repeat("M", 1000), Path: strings.Repeat("/ü", 100_000), Headers: fields}
	b := newTicket(&r).append(nil)
	if facts := send.RequestFacts(b); len(facts.Lines) != maxShownFields+1 || len(facts.Lines[0]) > maxShownField+5 {
		t.Errorf("there are %d lines, the first of %d bytes", len(facts.Lines), len(facts.Lines[0]))
	}
	if n := len(send.ShowRequest(b)); n > 2*maxShownField {
		t.Errorf("the request is shown with %d bytes", n)
	}
}

func TestAFailureTellsWhetherTheRequestMayHaveArrived(t *testing.T) {
	for reason, want := range map[Reason]durable.Fate{
		Denied: durable.NotSent, ConnectionRefused: durable.NotSent, DNSError: durable.NotSent, TLSCertificate: durable.NotSent,
		ConnectionTerminated: durable.Unknown, ReadTimeout: durable.Unknown, ResponseTimeout: durable.Unknown, InternalError: durable.Unknown, WriteTimeout: durable.Unknown,
	} {
		h := Head{Failure: &Failure{Reason: reason}}
		if got := send.ResponseFacts(h.append(nil)).Fate; got != want {
			t.Errorf("%s: got %v, want %v", reason, got, want)
		}
	}
	h := Head{Status: 500}
	if got := send.ResponseFacts(h.append(nil)).Fate; got != durable.Done {
		t.Errorf("a response: got %v", got)
	}
}
