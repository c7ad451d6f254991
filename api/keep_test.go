package api_test

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/api"
)

func TestHowMuchIsKeptIsReadAndWritten(t *testing.T) {
	for text, want := range map[string]api.Keep{
		"":                     {},
		"everything":           api.KeepEverything(),
		"30d":                  api.KeepFor(30 * 24 * time.Hour),
		"1h30m0s":              api.KeepFor(90 * time.Minute),
		"1":                    api.KeepInvocations(1),
		"18446744073709551615": api.KeepInvocations(1<<64 - 1),
		"106751d":              api.KeepFor(106751 * 24 * time.Hour),
	} {
		got, err := api.ParseKeep(text)
		if err != nil || got != want || got.String() != text {
			t.Errorf("%q: got %+v, written %q, %v, want %+v", text, got, got, err, want)
		}
		if limited := text != "" && text != "everything"; got.Limited() != limited {
			t.Errorf("%q is limited: %t", text, got.Limited())
		}
	}
	for text, want := range map[string]string{"24h": "1d", "90m": "1h30m0s", "0010": "10"} {
		if got, err := api.ParseKeep(text); err != nil || got.String() != want {
			t.Errorf("%q: got %q, %v, want %q", text, got, err, want)
		}
	}
	for _, text := range []string{"0", "0d", "-1", "-1h", "1.5d", "all", "d", "106752d", "18446744073709551616", "1000000h0m0s0", " 1"} {
		if got, err := api.ParseKeep(text); err == nil {
			t.Errorf("%q is taken for %q", text, got)
		}
	}
}

func TestRetentionIsTextInJSON(t *testing.T) {
	s := api.Settings{Retention: api.Retention{Oplog: api.KeepInvocations(1000), Results: api.KeepEverything(), Logs: api.KeepFor(48 * time.Hour)}}
	b, err := json.Marshal(s)
	if want := `{"retention":{"oplog":"1000","results":"everything","logs":"2d"}}`; err != nil || string(b) != want {
		t.Errorf("got %s, %v, want %s", b, err, want)
	}
	var got api.Settings
	if err := json.Unmarshal(b, &got); err != nil || !reflect.DeepEqual(got, s) {
		t.Errorf("got %+v, %v", got, err)
	}
	if b, err := json.Marshal(api.Settings{}); err != nil || string(b) != "{}" {
		t.Errorf("got %s, %v", b, err)
	}
}
