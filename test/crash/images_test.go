package crash

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/client"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/storage/local"
	"github.com/waterbear-run/waterbear/internal/vfs"
)

// savers are workers in Go whose images are files, for they are large. Each call
// is made once, under a key, and its answer kept.
type savers struct {
	t      *testing.T
	server *server
	client *client.Client
	random *rand.Rand
	totals []int64
	told   []map[string]string // results by key
}

const saverCount = 4

// newSavers starts a server whose workers are saved when they leave memory, and
// not before: what a worker says of a damaged image holds until it has another.
func newSavers(t *testing.T, stream uint64) *savers {
	t.Helper()
	s := &savers{
		t: t, random: randomOf(t, stream), server: startServer(t, "--workers-max-instances", "2", "--workers-image-after", "1m"),
		totals: make([]int64, saverCount), told: make([]map[string]string, saverCount),
	}
	s.client = s.server.client()
	for i := range s.told {
		s.told[i] = map[string]string{}
	}
	l := &load{t: t}
	l.deploy(s.client)
	if _, err := s.client.Configure(t.Context(), "heap", api.Settings{Images: api.Images{Size: 1}}); err != nil {
		t.Fatal(err)
	}
	return s
}

func saver(i int) string { return fmt.Sprint("w", i) }

// call adds to each worker's total so many times, and demands the right answers.
// They take turns, so each leaves memory, saved, after each call.
func (s *savers) call(times int) {
	s.t.Helper()
	for range times {
		for i := range saverCount {
			if s.t.Failed() {
				return
			}
			n := 1 + s.random.Int64N(9)
			s.totals[i] += n
			key := fmt.Sprintf("k%d", len(s.told[i]))
			call := api.Call{Function: "add", Args: json.RawMessage(fmt.Sprintf("[%d]", n)), Key: key}
			inv, err := s.client.Invoke(s.t.Context(), "heap", saver(i), call)
			if want := fmt.Sprintf("[%d]", s.totals[i]); err != nil || string(inv.Result) != want {
				s.t.Errorf("%s of %s: %s, %v; want %s (seed %d)", key, saver(i), tell(inv), err, want, *seed)
			}
			s.told[i][key] = tell(inv)
		}
	}
}

// right demands that every answer is what it was, and the state what it should be.
// Before another worker is asked, then hears of one.
func (s *savers) right(then func(i int)) {
	s.t.Helper()
	for i, told := range s.told {
		for key, want := range told {
			inv, err := s.client.Invocation(s.t.Context(), "heap", saver(i), key)
			if err != nil || tell(inv) != want {
				s.t.Errorf("%s of %s was answered %s, and now %s, %v (seed %d)", key, saver(i), want, tell(inv), err, *seed)
			}
		}
		inv, err := s.client.Invoke(s.t.Context(), "heap", saver(i), api.Call{Function: "get"})
		if want := fmt.Sprintf("[%d]", s.totals[i]); err != nil || string(inv.Result) != want {
			s.t.Errorf("the total of %s is %s, %v; want %s (seed %d)", saver(i), tell(inv), err, want, *seed)
		}
		then(i)
	}
}

// tells is how a worker says that it recovered.
func (s *savers) tells(i int) string {
	s.t.Helper()
	w, err := s.client.Worker(s.t.Context(), "heap", saver(i))
	if err != nil {
		s.t.Fatalf("%s: %v (seed %d)", saver(i), err, *seed)
	}
	return w.Mode
}

// images are the files of the newest images of the workers. The server must be
// down: it goes on to take them.
func (s *savers) images() (files []string) {
	s.t.Helper()
	store, err := local.OpenReadOnly(s.t.Context(), vfs.OS(), s.server.state)
	if err != nil {
		s.t.Fatal(err)
	}
	defer store.Close()
	for i := range saverCount {
		file := ""
		for e, err := range oplog.Read(s.t.Context(), store.Logs(), id.Worker{Component: "heap", Name: saver(i)}, 1, 0) {
			if err != nil {
				s.t.Fatalf("read the oplog of %s: %v (seed %d)", saver(i), err, *seed)
			}
			if image, ok := e.Body.(*oplog.Image); ok {
				blob := fmt.Sprintf("%x", image.Blob[:])
				file = filepath.Join(s.server.state, "blobs", blob[:2], blob[2:])
			}
		}
		if file == "" {
			s.t.Fatalf("%s has no image (seed %d)", saver(i), *seed)
		}
		files = append(files, file)
	}
	return files
}

// TestDamagedImagesCostTimeAlone flips a bit of each image, or takes it away,
// while the server is down.
func TestDamagedImagesCostTimeAlone(t *testing.T) {
	s := newSavers(t, 700)
	for round, harm := range []func(file string){
		func(file string) { s.flip(file) },
		func(file string) { s.flip(file) },
		func(file string) {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		},
		func(file string) {
			if err := os.Truncate(file, 0); err != nil {
				t.Fatal(err)
			}
		},
	} {
		s.call(9)
		s.server.kill()
		for _, file := range s.images() {
			harm(file)
		}
		s.server.start()
		s.right(func(i int) {
			if mode := s.tells(i); !strings.Contains(mode, "the image at entry ") || !strings.Contains(mode, "cannot be used") {
				t.Errorf("round %d, %s: its image was damaged, and it says %q (seed %d)", round, saver(i), mode, *seed)
			}
		})
	}
	s.call(9)
	s.right(func(i int) {
		if mode := s.tells(i); strings.Contains(mode, "cannot be used") {
			t.Errorf("%s says that %q (seed %d)", saver(i), mode, *seed)
		}
	})
}

// flip flips one bit of a file.
func (s *savers) flip(file string) {
	s.t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		s.t.Fatal(err)
	}
	content[s.random.IntN(len(content))] ^= 1 << s.random.IntN(8)
	if err := os.WriteFile(file, content, 0o666); err != nil {
		s.t.Fatal(err)
	}
}

// TestAServerThatIsKilledWhileItSavesLosesNothing kills it while workers take
// turns and so are saved all the time, as a whole or what has changed.
func TestAServerThatIsKilledWhileItSavesLosesNothing(t *testing.T) {
	s := newSavers(t, 800)
	s.call(1)
	ended, stop := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-stop:
				return
			default:
				s.call(1)
			}
		}
	}()
	kills := rand.New(rand.NewPCG(*seed, 801))
	n := share(2)
	for range n {
		time.Sleep(time.Duration(10+kills.IntN(300)) * time.Millisecond)
		s.server.kill()
		s.server.start()
	}
	close(stop)
	<-ended
	s.right(func(i int) {
		if mode := s.tells(i); strings.Contains(mode, "cannot be used") {
			t.Errorf("%s says that %q (seed %d)", saver(i), mode, *seed)
		}
	})
	files := map[string][]byte{}
	if err := collect(files, filepath.Join(s.server.state, "blobs")); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d kills, %d calls of each worker; there are %d blobs of their own file", n, len(s.told[0]), len(files))
}
