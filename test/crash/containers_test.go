package crash

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/guests"
)

// TestContainersOfAServerThatIsKilledChangeOnce lets programs make containers and
// write, copy, move and delete objects. What each is told would be something else if
// a change had been made twice or not at all.
func TestContainersOfAServerThatIsKilledChangeOnce(t *testing.T) {
	const albums, workers = 60, 12
	random := randomOf(t, 1700)
	s := startServer(t, restless...)
	c := s.client()
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
	defer cancel()
	if _, err := c.Deploy(ctx, "album", guests.Wasm(t, "components/blobs"), nil); err != nil {
		t.Fatal(err)
	}
	script := []string{
		"create", "fill a 300000", "move a b", "copy b c", "put once x", "move once twice", "begin late", "many 0 270000", "many 270000 290000",
		"has late", "end", "delete c", "names", "read 1", "skip 9", "check b", "check late", "list 9",
	}
	want := `[["%s","ok","ok","ok","ok","ok","ok","ok","ok","false","ok","ok","ok","b false","2 true","300000 of 300000","290000 of 290000","b,late,twice true"]]`
	album := func(i int) (name, worker string) { return fmt.Sprint("album-", i), fmt.Sprint("w", i%workers) }
	for i := range albums {
		name, worker := album(i)
		args, err := json.Marshal([]any{name, script})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Invoke(ctx, "album", worker, api.Call{Function: "steps", Args: args, Key: name, Async: true}); err != nil {
			t.Fatal(err)
		}
	}
	n := share(2)
	s.restart(n, 300, random)
	for i := range albums {
		name, worker := album(i)
		v, err := c.Await(ctx, "album", worker, name)
		if err != nil || string(v.Result) != fmt.Sprintf(want, name) {
			t.Fatalf("%s ends with %s %s %+v, %v (seed %d)", name, v.State, v.Result, v.Failure, err, *seed)
		}
	}
	containers, err := c.Containers(ctx, "album")
	if err != nil || len(containers) != albums {
		t.Errorf("there are %d containers, %v; want %d (seed %d)", len(containers), err, albums, *seed)
	}
	t.Logf("%d kills, %d containers", n, len(containers))
}
