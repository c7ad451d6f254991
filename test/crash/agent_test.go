package crash

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/client"
	"github.com/waterbear-run/waterbear/internal/guests"
)

const agentTask = "a dinner for ann, bob, cid, dan"

// agents are workers of the example that do the same task at once.
type agents struct {
	t      *testing.T
	server *server
	client *client.Client
	world  *world
	names  []string
}

func newAgents(t *testing.T, count int, trouble string) *agents {
	t.Helper()
	a := &agents{
		t: t, server: startServer(t, append(restless, "--http-allow", "127.0.0.1")...),
		world: startWorld(t, "agent/world", "-trouble", trouble, "-day", "10ms"),
	}
	a.client = a.server.client()
	if _, err := a.client.Deploy(t.Context(), "agent", guests.Wasm(t, "agent"), nil); err != nil {
		t.Fatal(err)
	}
	args, err := json.Marshal([]string{agentTask, a.world.url})
	if err != nil {
		t.Fatal(err)
	}
	for i := range count {
		name := fmt.Sprint("a", i)
		a.names = append(a.names, name)
		if _, err := a.client.Invoke(t.Context(), "agent", name, api.Call{Function: "work", Args: args, Key: "k", Async: true}); err != nil {
			t.Fatal(err)
		}
	}
	return a
}

// waiting gives the promise that an agent waits for, once it does so out of memory.
func (a *agents) waiting(ctx context.Context, name string) string {
	a.t.Helper()
	for ; ; time.Sleep(10 * time.Millisecond) {
		w, err := a.client.Worker(ctx, "agent", name)
		if err != nil {
			a.t.Fatalf("%s does not come to wait: %v (seed %d)", name, err, *seed)
		}
		if w.Status == api.Suspended && !w.Resident && len(w.Promises) == 1 && w.Promises[0].Awaited {
			return w.Promises[0].Promise
		}
	}
}

var webhook = regexp.MustCompile(`(?m)^POST the answer to http://[^/]+(/v1/webhooks/\S+)$`)

// approve answers by the link that an agent has printed.
func (a *agents) approve(ctx context.Context, name string) {
	a.t.Helper()
	var printed strings.Builder
	for chunk, err := range a.client.Logs(ctx, "agent", name, api.Range{}) {
		if err != nil {
			a.t.Fatal(err)
		}
		printed.WriteString(chunk.Text)
	}
	links := webhook.FindAllStringSubmatch(printed.String(), -1)
	if len(links) != 1 {
		a.t.Fatalf("%s has printed %d links (seed %d):\n%s", name, len(links), *seed, &printed)
	}
	response, err := a.server.http().Post("http://localhost"+links[0][1], "text/plain", strings.NewReader("yes"))
	if err != nil {
		a.t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK {
		a.t.Fatalf("the link of %s gives %s (seed %d)", name, response.Status, *seed)
	}
}

// transcript is what an agent has said and done, once it is done.
func (a *agents) transcript(ctx context.Context, name string) []string {
	a.t.Helper()
	v, err := a.client.Await(ctx, "agent", name, "k")
	if err != nil || v.State != api.StateFinished || !strings.HasPrefix(string(v.Result), `[{"ok":`) {
		a.t.Fatalf("%s ends with %s %s %+v, %v (seed %d)", name, v.State, v.Result, v.Failure, err, *seed)
	}
	v, err = a.client.Invoke(ctx, "agent", name, api.Call{Function: "transcript"})
	var lines [1][]string
	if err == nil {
		err = json.Unmarshal(v.Result, &lines)
	}
	if err != nil {
		a.t.Fatal(err)
	}
	return lines[0]
}

// did counts what was done, by what it is.
func (a *agents) did() map[string]int {
	done := map[string]int{}
	for _, e := range a.world.effects() {
		done[e.Path+" "+e.Body]++
	}
	return done
}

// TestAgentsThatAreKilledDoEverythingOnceAndWaitForPeople lets agents live through
// kills in a world that fails, and compares with one in a world that does not.
func TestAgentsThatAreKilledDoEverythingOnceAndWaitForPeople(t *testing.T) {
	random := randomOf(t, 900)
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
	defer cancel()
	calm := newAgents(t, 1, "0")
	calm.waiting(ctx, "a0")
	calm.approve(ctx, "a0")
	want, once := calm.transcript(ctx, "a0"), calm.did()
	calm.server.kill()

	const count = 6
	a := newAgents(t, count, "0.3")
	storm := func(kills int) {
		for range kills {
			time.Sleep(time.Duration(20+random.IntN(300)) * time.Millisecond)
			a.server.kill()
			a.server.start()
		}
	}
	n := share(2)
	storm(n / 2)
	promises := map[string]string{}
	for _, name := range a.names {
		promises[name] = a.waiting(ctx, name)
	}
	storm(1)
	for _, name := range a.names {
		if now := a.waiting(ctx, name); now != promises[name] {
			t.Errorf("%s waits for %s, and before for %s (seed %d)", name, now, promises[name], *seed)
		}
		a.approve(ctx, name)
	}
	storm(n - n/2)
	for _, name := range a.names {
		if got := a.transcript(ctx, name); !slices.Equal(got, want) {
			t.Errorf("%s has another transcript (seed %d):\n%s\nwant:\n%s", name, *seed, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	for what, times := range once {
		once[what] = times * count
	}
	if did := a.did(); !maps.Equal(did, once) {
		t.Errorf("done was (seed %d):\n%v\nwant:\n%v", *seed, did, once)
	}
	requests := 0
	for _, e := range a.world.effects() {
		requests += e.Requests
	}
	t.Logf("%d kills, %d requests for %d steps", n+1, requests, len(a.world.effects()))
}
