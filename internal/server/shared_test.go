package server_test

import (
	"io"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/api"
)

func TestWhatProgramsShareIsListedShownAndDeleted(t *testing.T) {
	c := start(t, nil)
	for path, want := range map[string]string{
		"/buckets": `{"items":[{"name":"b100"}]}`,
		"/buckets/keys?bucket=b&cursor=c&limit=7": `{"items":[{"key":"bc7","size":3,"written":"2030-01-02T03:04:05Z"}],"next":"next"}`,
		"/buckets/keys":                                   `{"items":[{"key":"100","size":3,"written":"2030-01-02T03:04:05Z"}],"next":"next"}`,
		"/buckets/value?bucket=b&key=x":                   "one",
		"/containers":                                     `{"items":[{"name":"box100","created":"2030-01-02T03:04:05Z"}]}`,
		"/containers/objects?container=box":               `{"items":[{"name":"x100","size":3,"created":"2030-01-02T03:04:05Z"}]}`,
		"/containers/object?container=box&name=x":         "two",
		"/containers/object?container=b%6Fx&name=%78":     "two",
		"/containers/object?container=box&name=":          "",
		"/containers/object?container=box":                "",
		"/containers/objects?container=box&limit=0":       "",
		"/containers/objects?container=box&limit=1001":    "",
		"/buckets/value?key=" + strings.Repeat("x", 257):  "",
		"/buckets/keys?bucket=" + strings.Repeat("x", 65): "",
	} {
		r := c.do("GET", shop+path, "")
		if want == "" {
			refused(t, r, api.CodeInvalid)
		} else if got := strings.TrimSpace(string(r.body)); r.StatusCode != 200 || got != want {
			t.Errorf("%s: got %d %s, want %s", path, r.StatusCode, got, want)
		}
	}
	for path, code := range map[string]api.Code{
		"/buckets/value?key=x":                        api.CodeNoKey,
		"/containers/object?container=box&name=y":     api.CodeNoObject,
		"/containers/object?container=nothing&name=x": api.CodeNoContainer,
	} {
		refused(t, c.do("GET", shop+path, ""), code)
		refused(t, c.do("DELETE", shop+path, ""), code)
	}
	for path, code := range map[string]api.Code{"/buckets/value?bucket=b&key=x": api.CodeNoKey, "/containers/object?container=box&name=x": api.CodeNoObject} {
		if r := c.do("DELETE", shop+path, ""); r.StatusCode != 204 {
			t.Errorf("%s: got %d %s", path, r.StatusCode, r.body)
		}
		refused(t, c.do("GET", shop+path, ""), code)
	}
	if r := c.do("DELETE", shop+"/containers?container=box", ""); r.StatusCode != 204 {
		t.Errorf("got %d %s", r.StatusCode, r.body)
	}
	// One that cannot be read to its end breaks off.
	resp := c.send("GET", shop+"/containers/object?container=box&name=broken", "")
	defer resp.Body.Close()
	if got, err := io.ReadAll(resp.Body); resp.StatusCode != 200 || err == nil || len(got) > 1<<18 {
		t.Errorf("got %d, %d bytes and %v", resp.StatusCode, len(got), err)
	}
}
