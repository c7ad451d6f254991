package server_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/server"
)

// event is one server-sent event; a comment is one without a name.
type event struct{ id, name, data string }

// stream reads events one by one.
type stream struct {
	t    *testing.T
	resp *http.Response
	r    *bufio.Reader
}

func (c *client) stream(t *testing.T, path string, headers ...string) *stream {
	t.Helper()
	resp := c.send("GET", path, "", append(headers, "Accept: text/event-stream")...)
	t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" {
		b, _ := io.ReadAll(resp.Body)
		t.Fatalf("%s: got %d %s", path, resp.StatusCode, b)
	}
	return &stream{t, resp, bufio.NewReader(resp.Body)}
}

// next gives the next event, or why there is none.
func (s *stream) next() (event, error) {
	var e event
	for {
		line, err := s.r.ReadString('\n')
		if err != nil {
			return e, err
		}
		line = strings.TrimSuffix(line, "\n")
		field, value, _ := strings.Cut(line, ": ")
		switch field {
		case "id":
			e.id = value
		case "event":
			e.name = value
		case "data":
			e.data = value
		case "": // the end of an event, or a comment
			if value == "" {
				return e, nil
			}
		}
	}
}

// want fails the test unless the next events have these ids; "problem" is one
// with a problem, and "" a comment.
func (s *stream) want(ids ...string) {
	s.t.Helper()
	for _, id := range ids {
		e, err := s.next()
		if err != nil || e.id != id && e.name != id {
			s.t.Fatalf("got the event %+v, %v; want %q", e, err, id)
		}
	}
}

func (s *stream) wantEnd() {
	s.t.Helper()
	if e, err := s.next(); !errors.Is(err, io.EOF) {
		s.t.Fatalf("got %+v, %v, want the end", e, err)
	}
}

// print makes the worker alice write.
func (c *client) print(text string) {
	c.t.Helper()
	args, err := json.Marshal([]string{text})
	if err != nil {
		c.t.Fatal(err)
	}
	call := api.Call{Function: "print", Args: args}
	if _, err := c.node.Invoke(c.t.Context(), "shop", "alice", call); err != nil {
		c.t.Fatal(err)
	}
}

// TestAStreamFollowsALog relies on that each print makes two entries of the fake,
// of which the second is the log.
func TestAStreamFollowsALog(t *testing.T) {
	c := start(t, nil)
	c.print("one")
	c.print("two")
	s := c.stream(t, alice+"/logs?follow=true")
	s.want("3", "5")
	c.print("three")
	s.want("7")
	c.print("line\nbreak\r\n: and a colon")
	e, err := s.next()
	var chunk api.LogChunk
	if err != nil || e.name != "log" || json.Unmarshal([]byte(e.data), &chunk) != nil || chunk.Text != "line\nbreak\r\n: and a colon" {
		t.Errorf("got %+v, %v", e, err)
	}
}

func TestAStreamResumesBehindTheLastEvent(t *testing.T) {
	c := start(t, nil)
	for range 5 {
		c.print("x")
	}
	for path, ids := range map[string][]string{
		"/logs":                        {"7", "9", "11"},
		"/oplog?search=X":              {"7", "9", "11"},
		"/logs?to=9":                   {"7", "9"},
		"/logs?from=9":                 {"9", "11"},
		"/logs?stream=stderr":          {},
		"/oplog?search=nothing+has+it": {},
	} {
		s := c.stream(t, alice+path, "Last-Event-ID: 5")
		s.want(ids...)
		s.wantEnd()
	}
	for _, bad := range []string{"x", "-1", "18446744073709551615", "99999999999999999999"} {
		refused(t, c.do("GET", alice+"/logs", "", "Accept: text/event-stream", "Last-Event-ID: "+bad), api.CodeInvalid)
	}
	refused(t, c.do("GET", "/v1/workers/shop/nobody/logs", "", "Accept: text/event-stream"), api.CodeNoWorker)
	refused(t, c.do("GET", alice+"/logs?follow=true", ""), api.CodeInvalid)
	refused(t, c.do("GET", alice+"/logs?from=3&to=2", ""), api.CodeInvalid)
}

func TestDamageIsToldAndTheRestRead(t *testing.T) {
	c := start(t, nil)
	for range 3 {
		c.print("x")
	}
	c.node.damaged = 5
	s := c.stream(t, alice+"/logs")
	s.want("3", "problem", "7")
	s.wantEnd()
	page := wants[struct {
		Items    []api.LogChunk
		Problems []api.Problem
	}](t, c.do("GET", alice+"/logs", ""), http.StatusOK)
	if len(page.Items) != 2 || len(page.Problems) != 1 || page.Problems[0].Code != api.CodeDamaged {
		t.Errorf("got %+v", page)
	}
}

func TestAStreamHasSignsOfLife(t *testing.T) {
	c := start(t, nil)
	c.server.SetPace(10*time.Millisecond, time.Minute)
	s := c.stream(t, alice+"/logs?follow=true")
	s.want("", "")
	c.print("x")
	for {
		if e, err := s.next(); err != nil || e.id == "3" {
			if err != nil {
				t.Fatal(err)
			}
			return
		}
	}
}

// TestAClientThatDoesNotReadIsCutOff reads nothing, so that the buffers of the
// connection fill and the server's writes stop.
func TestAClientThatDoesNotReadIsCutOff(t *testing.T) {
	for _, accept := range []string{"text/event-stream", "application/octet-stream"} {
		c := start(t, nil)
		c.server.SetPace(time.Minute, 100*time.Millisecond)
		large := strings.Repeat("x", 1<<20)
		for range 20 {
			c.print(large)
		}
		c.node.workers["shop/alice"].files["/large"] = strings.Repeat(large, 20)
		path := alice + "/logs?follow=true"
		if accept != "text/event-stream" {
			path = alice + "/files/large"
		}
		conn, err := net.Dial("tcp", strings.TrimPrefix(c.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: localhost\r\nAccept: %s\r\n\r\n", path, accept)
		if cut := c.ended()["cut"]; cut == nil {
			t.Errorf("%s: the server has answered to the end", accept)
		}
		n, err := io.Copy(io.Discard, conn)
		if n >= 20<<20 {
			t.Errorf("%s: got %d bytes and %v, want an answer that breaks off", accept, n, err)
		}
	}
}

func TestAClientThatLeavesEndsItsStream(t *testing.T) {
	c := start(t, nil)
	s := c.stream(t, alice+"/logs?follow=true")
	s.resp.Body.Close()
	c.ended()
}

func TestPagesLeadToTheEnd(t *testing.T) {
	c := start(t, nil)
	for i := range 7 {
		c.print(strconv.Itoa(i))
	}
	for _, path := range []string{alice + "/logs?limit=3", alice + "/oplog?limit=3"} {
		got, from := "", ""
		for pages := 1; ; pages++ {
			page := wants[struct {
				Items []struct {
					Text string
					api.Range
					Index              uint64
					At, Stream, Base64 string
					Kind               string
					Body               any
				}
				Next string
			}](t, c.do("GET", path+from, ""), http.StatusOK)
			for _, item := range page.Items {
				got += item.Text
			}
			if page.Next == "" {
				if pages != 3 || got != "0123456" {
					t.Errorf("%s: got %q on %d pages, want 0123456 on 3", path, got, pages)
				}
				break
			}
			from = "&from=" + page.Next
		}
	}
}

func TestAPageIsBoundedInBytes(t *testing.T) {
	c := start(t, nil)
	large := strings.Repeat("x", server.MaxPageBytes/2-10)
	for range 3 {
		c.print(large)
	}
	c.print(strings.Repeat("y", server.MaxPageBytes+10))
	from := ""
	for _, want := range []int{2, 1, 1} {
		page := wants[api.Page[api.LogChunk]](t, c.do("GET", alice+"/logs"+from, ""), http.StatusOK)
		if len(page.Items) != want {
			t.Fatalf("got %d entries, want %d", len(page.Items), want)
		}
		from = "?from=" + page.Next
	}
}

// deployStream deploys and gives all events.
func (c *client) deployStream(t *testing.T, module string) []event {
	t.Helper()
	resp := c.send("PUT", shop, module, "Content-Type: application/wasm", "Accept: application/json;q=0.5, text/event-stream")
	defer resp.Body.Close()
	s := &stream{t, resp, bufio.NewReader(resp.Body)}
	var all []event
	for {
		e, err := s.next()
		if errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
}

func TestDeployingTellsHowFarItIs(t *testing.T) {
	c := start(t, nil)
	for module, end := range map[string]string{module + "2": "deployed", "nonsense": "problem", "panic": "problem"} {
		all := c.deployStream(t, module)
		if len(all) != 2 || all[0].name != "progress" || all[1].name != end {
			t.Errorf("deploying %q: got %+v, want progress and %s", module, all, end)
		}
	}
	all := c.deployStream(t, "panic")
	var p api.Problem
	if err := json.Unmarshal([]byte(all[1].data), &p); err != nil || p.Code != api.CodeInternal || strings.Contains(p.Detail, "compiler") {
		t.Errorf("got %+v, %v", p, err)
	}
	refused(t, c.do("PUT", shop, "nonsense", "Content-Type: application/wasm"), api.CodeBadProgram)
	refused(t, c.do("PUT", shop, "", "Content-Type: application/wasm"), api.CodeInvalid)
	d := wants[api.Deployed](t, c.do("PUT", shop, module+"2", "Content-Type: application/wasm"), http.StatusOK)
	if d.New || d.Number != 2 {
		t.Errorf("got %+v, want revision 2, which is not new", d)
	}
}

func TestDeploymentsUnderWayAreBounded(t *testing.T) {
	c := start(t, nil)
	c.server.SetPace(10*time.Millisecond, time.Minute)
	c.node.deploying = make(chan struct{})
	var open []*stream
	for range server.MaxDeploys {
		resp := c.send("PUT", shop, module+"3", "Content-Type: application/wasm", "Accept: text/event-stream")
		defer resp.Body.Close()
		s := &stream{t, resp, bufio.NewReader(resp.Body)}
		s.want("progress")
		open = append(open, s)
	}
	p := refused(t, c.do("PUT", shop, module+"4", "Content-Type: application/wasm"), api.CodeOverloaded)
	if p.RetryAfter == 0 {
		t.Error("there is no time after which to try again")
	}
	open[0].resp.Body.Close() // who leaves makes room
	for c.ended()["status"] == float64(http.StatusServiceUnavailable) {
	}
	close(c.node.deploying)
	wants[api.Deployed](t, c.do("PUT", shop, module+"5", "Content-Type: application/wasm"), http.StatusCreated)
}

func TestAnAnswerThatCannotBeFinishedBreaksOff(t *testing.T) {
	c := start(t, nil)
	if _, _, err := c.node.CreateWorker(t.Context(), "shop", "broken", api.NewWorker{}); err != nil {
		t.Fatal(err)
	}
	resp := c.send("GET", "/v1/workers/shop/broken/export", "")
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("got %d bytes that look whole", len(b))
	}
	refused(t, c.do("GET", "/v1/workers/shop/nobody/export", ""), api.CodeNoWorker)
}

func TestFilesAreFoundByPath(t *testing.T) {
	c := start(t, nil)
	files := c.node.workers["shop/alice"].files
	files["/a b/ü/c%?#"], files["/"+strings.Repeat("x", 100)] = "odd", "long"
	for path, want := range map[string]string{
		"hello.txt": "hello", "a%20b/%C3%BC/c%25%3F%23": "odd", strings.Repeat("x", 100): "long",
	} {
		r := c.do("GET", alice+"/files/"+path, "")
		if string(r.body) != want || !strings.HasPrefix(r.Header.Get("Content-Disposition"), "attachment") {
			t.Errorf("%s: got %q, %v", path, r.body, r.Header)
		}
	}
	refused(t, c.do("GET", alice+"/files/none", ""), api.CodeNoFile)
	for _, bad := range []string{"", "%2E%2E/x", "a%2F%2Fb", "a%00b", strings.Repeat("x", 5000)} {
		refused(t, c.do("GET", alice+"/files/"+bad, ""), api.CodeInvalid)
	}
	refused(t, c.do("GET", alice+"/files/a//b", ""), api.CodeNoRoute)
}
