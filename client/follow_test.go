package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waterbear-run/waterbear/api"
)

// lines is a server of one worker's log that has the entries 1 to 20 and ends
// each connection after a few, in one way after another.
type lines struct {
	connections int
	each        int // entries on one connection
	last        int
	lastEvents  []string
}

func (s *lines) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.connections++
	s.lastEvents = append(s.lastEvents, r.Header.Get("Last-Event-ID"))
	if s.connections%4 == 3 {
		refuse(api.CodeStopping)(w, r, nil)
		return
	}
	from := 1
	if n, err := strconv.Atoi(r.URL.Query().Get("from")); err == nil {
		from = n
	}
	if n, err := strconv.Atoi(r.Header.Get("Last-Event-ID")); err == nil {
		from = n + 1
	}
	w.Header().Set("Content-Type", typeEvents)
	for i := from; i <= s.last; i++ {
		if i == from+s.each {
			switch s.connections % 4 {
			case 0: // in the middle of an event
				fmt.Fprintf(w, "id: %d\nevent: log\ndata: {\"ind", i)
			case 1:
				sendEvent(w, eventProblem, "", &api.Problem{Status: http.StatusServiceUnavailable, Code: api.CodeStopping})
				return
			}
			panic(http.ErrAbortHandler)
		}
		if i == 5 {
			sendEvent(w, eventProblem, "5", api.NewProblem(api.CodeDamaged, "entry 5 is damaged"))
			continue
		}
		sendEvent(w, "log", strconv.Itoa(i), api.LogChunk{Index: uint64(i), Stream: "stdout", Text: "x"})
	}
	if r.URL.Query().Get("follow") == "true" {
		<-r.Context().Done()
	}
}

func TestLogsGoOnWhereALostConnectionWas(t *testing.T) {
	for _, following := range []bool{false, true} {
		s := &lines{each: 3, last: 20}
		c := serve(t, s)
		ctx, cancel := context.WithCancel(t.Context())
		next := uint64(2)
		var end error
		for chunk, err := range c.Logs(ctx, "shop", "alice", api.Range{From: 2, Follow: following}) {
			switch {
			case next == 5:
				wantProblem(t, err, api.CodeDamaged)
			case next == 21:
				end = err
				continue
			case err != nil || chunk.Index != next:
				t.Fatalf("got %d, %v, want %d", chunk.Index, err, next)
			}
			if next++; next == 21 && following {
				cancel()
			}
		}
		cancel()
		if next != 21 || s.connections < 7 || following != errors.Is(end, context.Canceled) {
			t.Errorf("following %v: up to %d by %d connections, then %v", following, next, s.connections, end)
		}
	}
}

func TestAConsumerCanStopAnywhere(t *testing.T) {
	s := &lines{each: 100, last: 20}
	c := serve(t, s)
	for n := range 20 {
		seen := 0
		s.connections = 0
		for range c.Logs(t.Context(), "shop", "alice", api.Range{Follow: true}) {
			if seen++; seen > n {
				break
			}
		}
		if seen != n+1 {
			t.Errorf("saw %d, want %d", seen, n+1)
		}
	}
}

func TestAProblemThatDoesNotPassEndsAStream(t *testing.T) {
	asked := 0
	c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked++; asked > 1 {
			answerProblem(w, api.NewProblem(api.CodeNoWorker, "no such worker"))
			return
		}
		w.Header().Set("Content-Type", typeEvents)
		sendEvent(w, "entry", "1", api.Entry{Index: 1})
		if r.URL.Query().Get("search") == "internal" {
			sendEvent(w, eventProblem, "", api.NewProblem(api.CodeInternal, "broken"))
		}
	}))
	for search, code := range map[string]api.Code{"internal": api.CodeInternal, "": api.CodeNoWorker} {
		asked = 0
		var all []error
		for _, err := range c.Oplog(t.Context(), "shop", "alice", api.Range{Follow: true, Search: search}) {
			all = append(all, err)
		}
		if len(all) != 2 || all[0] != nil {
			t.Fatalf("got %v", all)
		}
		wantProblem(t, all[1], code)
	}
}

func TestFollowingARangeEndsBehindIt(t *testing.T) {
	c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", typeEvents)
		if r.Header.Get("Last-Event-ID") == "" {
			sendEvent(w, "log", "7", api.LogChunk{Index: 7})
		}
	}))
	n := 0
	for _, err := range c.Logs(t.Context(), "shop", "alice", api.Range{To: 9, Follow: true}) {
		if n++; err != nil {
			t.Error(err)
		}
	}
	if n != 1 {
		t.Errorf("got %d chunks, want 1", n)
	}
}

func TestAStreamThatCannotBeginIsNotTriedAgain(t *testing.T) {
	var asked atomic.Int32
	c := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		asked.Add(1)
		panic(http.ErrAbortHandler)
	}))
	for _, err := range c.Logs(t.Context(), "shop", "alice", api.Range{Follow: true}) {
		wantText(t, err, "connection")
	}
	// The transport itself may ask twice.
	if n := asked.Load(); n > 2 {
		t.Errorf("asked %d times", n)
	}
}

func TestEventsAreReadAsTheStandardHasThem(t *testing.T) {
	c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", typeEvents)
		fmt.Fprint(w, ": comment\r\nevent:entry\r\nid: 1\r\ndata: {\"index\":\r\ndata:1}\r\n\r\nevent: entry\n\nretry: 7\nunknown\n\n"+
			"event: other\ndata: {}\n\nevent: entry\nid: 2\ndata: {\"index\":2}\n\nevent: entry\nid: 3\ndata: {\"index\":3}\n")
	}))
	var got []uint64
	for e, err := range c.Oplog(t.Context(), "shop", "alice", api.Range{}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e.Index)
	}
	if fmt.Sprint(got) != "[1 2]" {
		t.Errorf("got %v, want [1 2]", got)
	}
}

// silent is a transport whose first stream has an event and signs of life for
// five minutes, and then nothing; the next ends with another event.
type silent struct{ asked []time.Time }

func (s *silent) RoundTrip(r *http.Request) (*http.Response, error) {
	s.asked = append(s.asked, time.Now())
	body, w := io.Pipe()
	go func() {
		if len(s.asked) > 1 {
			sendEvent(w, "entry", "2", api.Entry{Index: 2})
			_ = w.Close()
			return
		}
		sendEvent(w, "entry", "1", api.Entry{Index: 1})
		for range 20 {
			time.Sleep(15 * time.Second)
			_, _ = io.WriteString(w, ": alive\n\n")
		}
		<-r.Context().Done()
		_ = w.CloseWithError(r.Context().Err())
	}()
	return &http.Response{
		Status: "200 OK", StatusCode: http.StatusOK, Request: r, Header: http.Header{"Content-Type": {typeEvents}}, Body: body,
	}, nil
}

func TestAStreamThatFallsSilentIsConnectedAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &silent{}
		c, err := New(Config{HTTP: &http.Client{Transport: s}})
		if err != nil {
			t.Fatal(err)
		}
		var got strings.Builder
		for e, err := range c.Oplog(t.Context(), "shop", "alice", api.Range{}) {
			got.WriteString(fmt.Sprintf("%d %v ", e.Index, err))
		}
		want := 5*time.Minute + longestSilence
		if took := s.asked[1].Sub(s.asked[0]); got.String() != "1 <nil> 2 <nil> " || took < want || took > want+time.Second {
			t.Errorf("got %q, connected anew after %v, want after %v", got.String(), took, want)
		}
	})
}

func TestWorkersAreListedPageByPageThroughFaults(t *testing.T) {
	pages := map[string]api.Page[api.Worker]{
		"":  {Items: []api.Worker{{Name: "a"}, {Name: "b"}}, Next: "1"},
		"1": {Next: "2"},
		"2": {Items: []api.Worker{{Name: "c"}}},
	}
	after := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	c := serve(t, faulty(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if q.Get("component") != "shop" || q.Get("revision") != "2" || q.Get("status") != "Idle" || q.Get("name") != "a*" ||
			q.Get("env") != "A=1&2" || q.Get("createdAfter") != "2026-11-01T00:00:00Z" || q.Has("createdBefore") {
			t.Errorf("asked %v", q)
		}
		answer(w, http.StatusOK, pages[q.Get("cursor")])
	}), none, dropBefore, refuse(api.CodeOverloaded)))
	var names strings.Builder
	filter := api.WorkerFilter{Component: "shop", Revision: 2, Status: api.Idle, Name: "a*", Env: "A=1&2", CreatedAfter: after}
	for w, err := range c.Workers(t.Context(), filter) {
		if err != nil {
			t.Fatal(err)
		}
		names.WriteString(w.Name)
	}
	if names.String() != "abc" {
		t.Errorf("got %q, want abc", names.String())
	}
}

func FuzzEventsNeverHang(f *testing.F) {
	f.Add([]byte("event: a\ndata: b\n\n"))
	f.Add([]byte("data\n\ndata:\n\n:\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s := newEvents(bytes.NewReader(b))
		for n := 0; ; n++ {
			if _, err := s.next(); err != nil {
				return
			}
			if n > len(b) {
				t.Fatal("more events than bytes")
			}
		}
	})
}
