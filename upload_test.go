package waterbear_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear"
	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/guests"
)

// TestALongUploadTakesLittleMemory sends a body that is far longer than what the
// process may take for it, and that is in the oplog all the same.
func TestALongUploadTakesLittleMemory(t *testing.T) {
	const size, most = 160 << 20, 96 << 20
	var peak, before uint64
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapInuse
	}
	remote := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		n, p := 0, make([]byte, 64<<10)
		for next := 0; ; {
			got, err := q.Body.Read(p)
			if n += got; n >= next {
				peak, next = max(peak, heap()), next+4<<20
			}
			if err != nil {
				if err != io.EOF {
					t.Error(err)
				}
				break
			}
		}
		fmt.Fprint(w, n)
	}))
	defer remote.Close()
	settings := waterbear.DefaultSettings()
	settings.HTTP.Allow, settings.Limits.OplogRate = []string{"127.0.0.1"}, 1<<40
	node, err := waterbear.Open(t.Context(), waterbear.Options{Dir: t.TempDir(), Platform: &waterbear.PlatformOptions{Defaults: settings}})
	if err != nil {
		t.Fatal(err)
	}
	defer node.Close()
	if _, err := node.Platform().Deploy(t.Context(), "fetch", guests.Wasm(t, "fetch"), nil); err != nil {
		t.Fatal(err)
	}
	args := fmt.Sprintf(`[{"method":"PUT","url":%q,"headers":[],"body":""},%d,60000,0,[]]`, remote.URL, size)
	runtime.GC()
	before = heap()
	v, err := node.Platform().Invoke(t.Context(), "fetch", "alice", api.Call{Function: "stream", Args: json.RawMessage(args)})
	if err != nil || v.State != api.StateFinished || !strings.Contains(string(v.Result), fmt.Sprintf(`"body":"%d"`, size)) {
		t.Fatalf("%s %s %+v: %v", v.State, v.Result, v.Failure, err)
	}
	if peak > before+most {
		t.Errorf("%d bytes took %d of memory, more than %d", size, peak-before, most)
	}
	t.Logf("%d MiB took %d MiB", size>>20, (peak-min(peak, before))>>20)
}
