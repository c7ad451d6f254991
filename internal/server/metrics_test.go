package server_test

import (
	"errors"
	"net/http"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/api"
)

func TestEveryFigureOfTheNodeIsAMetric(t *testing.T) {
	c := start(t, nil)
	figures := regexp.MustCompile(`(?m)^(waterbear_\w+) (\S+)$`)
	read := func() map[string]string {
		r := c.do("GET", "/metrics", "")
		if r.StatusCode != http.StatusOK || !strings.HasPrefix(r.Header.Get("Content-Type"), "text/plain") {
			t.Fatalf("got %d %v", r.StatusCode, r.Header)
		}
		found := map[string]string{}
		for _, m := range figures.FindAllStringSubmatch(string(r.body), -1) {
			found[m[1]] = m[2]
		}
		return found
	}
	zero := read()
	stats := reflect.ValueOf(&c.node.stats).Elem()
	for i := range stats.NumField() {
		c.node.stats = api.Stats{}
		switch f := stats.Field(i); f.Kind() {
		case reflect.Uint64:
			f.SetUint(7)
		case reflect.Float64:
			f.SetFloat(7)
		case reflect.String:
			f.SetString("the disk is full")
		default:
			t.Fatalf("there is no way here to set %s", stats.Type().Field(i).Name)
		}
		changed := []string{}
		for name, value := range read() {
			if zero[name] != value && !strings.Contains(name, "http") {
				changed = append(changed, name+" "+value)
			}
		}
		want := " 7"
		if stats.Type().Field(i).Name == "Stalled" {
			want = " 1"
		}
		if len(changed) != 1 || !strings.HasSuffix(changed[0], want) {
			t.Errorf("%s = %v changed %v, want one metric to be%s", stats.Type().Field(i).Name, stats.Field(i), changed, want)
		}
	}
}

func TestRequestsAndInvocationsAreMeasured(t *testing.T) {
	c := start(t, nil)
	c.do("POST", alice+"/invoke/add", "[1]")
	c.do("POST", alice+"/invoke/trap", "")
	c.do("POST", alice+"/invoke/forever?async=true", "")
	c.do("GET", "/v1/nothing", "")
	for range 4 {
		c.ended()
	}
	r := c.do("GET", "/metrics", "")
	for _, want := range []string{
		`waterbear_http_request_seconds_count{class="2xx",operation="invoke"} 2`,
		`waterbear_http_request_seconds_count{class="5xx",operation="invoke"} 1`,
		`waterbear_http_request_seconds_count{class="4xx",operation="none"} 1`,
		`waterbear_invocation_seconds_count{state="Finished"} 1`,
		`waterbear_invocation_seconds_count{state="Failed"} 1`,
		"\ngo_goroutines ", "\nprocess_open_fds ",
	} {
		if !strings.Contains(string(r.body), want) {
			t.Errorf("there is no %q", want)
		}
	}
	if strings.Contains(string(r.body), `state="Started"`) {
		t.Error("an invocation that was not awaited has a latency")
	}
}

func TestReadinessIsThePlatforms(t *testing.T) {
	c := start(t, nil)
	wants[map[string]string](t, c.do("GET", "/readyz", ""), http.StatusOK)
	c.node.ready = api.NewProblem(api.CodeDiskFull, "the disk is full")
	refused(t, c.do("GET", "/readyz", ""), api.CodeDiskFull)
	c.node.ready = errors.New("it recovers")
	if p := refused(t, c.do("GET", "/readyz", ""), api.CodeOverloaded); p.Detail != "it recovers" {
		t.Errorf("got %+v", p)
	}
	wants[map[string]string](t, c.do("GET", "/healthz", ""), http.StatusOK)
}
