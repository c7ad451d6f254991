package exchange

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func TestAPersonGivesAResponse(t *testing.T) {
	for text, want := range map[string]Head{
		`{}`: {Status: 200, Given: true},
		`{"status": 404, "headers": {"x-b": ["1", "2"], "Content-Type": "text/plain"}, "body": "grüße"}`: {
			Status: 404, Headers: []Field{{"Content-Type", []byte("text/plain")}, {"x-b", []byte("1")}, {"x-b", []byte("2")}}, Given: true, Body: []byte("grüße"),
		},
		`{"base64": "/wA="}`: {Status: 200, Given: true, Body: []byte{255, 0}},
	} {
		b, err := send.TakeGiven([]byte(text))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		got, err := send.Response.Decode(b)
		if got.Body = bytes.Clone(got.Body); len(got.Body) == 0 {
			got.Body = nil
		}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, %v", text, got, err)
		}
	}
	long := strings.Repeat("x", MaxGiven)
	if _, err := send.TakeGiven([]byte(`{"body": "` + long + `"}`)); err != nil {
		t.Error(err)
	}
	for text, want := range map[string]string{
		`[]`:                                    "the response is not as",
		`{"code": 200}`:                         `unknown field "code"`,
		`{"status": 99}`:                        "the status 99",
		`{"status": 65736}`:                     "the status 65736",
		`{"status": 101}`:                       "the status 101",
		`{"body": "a", "base64": "YQ=="}`:       "give one of them",
		`{"body": "x` + long + `"}`:             "more than 262144",
		`{"headers": {"a": "` + long + `"}}`:    "more than 65536",
		`{"headers": {"a b": "c"}}`:             "is no name",
		`{"headers": {"": "c"}}`:                "is no name",
		`{"headers": {"a": "b\r\nc: d"}}`:       "control character",
		`{"headers": {"Content-Length": "7"}}`:  "leave it out",
		fmt.Sprintf(`{"base64": %q}`, "so not"): "the response is not as",
		fmt.Sprintf(`{"base64": %q}`, base64.StdEncoding.EncodeToString(make([]byte, MaxGiven+1))): "more than 262144",
	} {
		if _, err := send.TakeGiven([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: got %v, want %q", text, err, want)
		}
	}
}
