package waterbear

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/internal/storage"
)

func TestSecondNodeOnADirectoryIsRefusedAndSaysWhatToDo(t *testing.T) {
	dir := stateDir(t)
	n := open(t, dir)
	_, err := Open(t.Context(), Options{Dir: dir})
	if !errors.Is(err, storage.ErrLocked) || !strings.Contains(err.Error(), "open state directory "+dir) ||
		!strings.HasSuffix(err.Error(), "wait for it to end, or use another directory") {
		t.Fatalf("got %v, want ErrLocked, the directory and what to do", err)
	}
	mustClose(t, n)
	mustClose(t, open(t, dir))
}

func TestReaderSeesWhatAnotherNodeRunsAndFollowsItToItsEnd(t *testing.T) {
	dir := stateDir(t)
	r := begin(t, open(t, dir), script(t, "a", "write /f content", "print one", "cat", "print two"))
	r.shows("one")
	reader := openWith(t, Options{Dir: dir, ReadOnly: true})
	if files, err := reader.Files(t.Context(), "a"); err != nil {
		t.Error(err)
	} else if content, err := fs.ReadFile(files, "f"); string(content) != "content" {
		t.Errorf("its file is %q, %v", content, err)
	}
	if w, err := reader.Worker(t.Context(), "a"); err != nil || w.Status != Running {
		t.Errorf("got %+v, %v, want it running", w, err)
	}
	var followed strings.Builder
	for chunk, err := range reader.Logs(t.Context(), "a", ReadOptions{Follow: true}) {
		if err != nil {
			t.Fatal(err)
		}
		if followed.Write(chunk.Bytes); strings.HasSuffix(followed.String(), "one \n") {
			_ = r.stdin.Close()
		}
	}
	if followed.String() != "one \ntwo \n" {
		t.Errorf("followed %q", followed.String())
	}
	<-r.ended
	if w, err := reader.Worker(t.Context(), "a"); err != nil || w.Status != Exited {
		t.Errorf("got %+v, %v, want it exited", w, err)
	}
}

func TestReaderKnowsThatAResumedWorkerRunsHoweverMuchItRecordedSince(t *testing.T) {
	dir := stateDir(t)
	n := open(t, dir)
	c := script(t, "a", "print one", "cat", "many 600", "print two", "sleep 1000h")
	r := begin(t, n, c)
	r.shows("one")
	r.interrupt()
	mustClose(t, n)
	r = begin(t, open(t, dir), c)
	_ = r.stdin.Close()
	r.shows("two")
	reader := openWith(t, Options{Dir: dir, ReadOnly: true})
	w, err := reader.Worker(t.Context(), "a")
	if err != nil || w.Status != Running || w.Entries < 600 || w.Resumes != 1 {
		t.Errorf("got %+v, %v, want it running", w, err)
	}
	r.interrupt()
}

func TestReaderTellsKilledWorkersFromRunningOnes(t *testing.T) {
	dir := stateDir(t)
	n := open(t, dir)
	r := begin(t, n, script(t, "a", "print one", "cat"))
	r.shows("one")
	copied := killed(t, dir)
	w, err := openWith(t, Options{Dir: copied, ReadOnly: true}).Worker(t.Context(), "a")
	if err != nil || w.Status != Interrupted || !strings.Contains(w.Reason, "killed") {
		t.Errorf("nobody has the directory: %+v, %v", w, err)
	}
	other := open(t, copied)
	w, err = openWith(t, Options{Dir: copied, ReadOnly: true}).Worker(t.Context(), "a")
	if err != nil || w.Status != Interrupted {
		t.Errorf("another process has the directory, and does not run it: %+v, %v", w, err)
	}
	if w, err = other.Worker(t.Context(), "a"); err != nil || w.Status != Interrupted {
		t.Errorf("its own process: %+v, %v", w, err)
	}
}

// killed copies a state directory as it is when its process is killed now.
func killed(t *testing.T, dir string) string {
	t.Helper()
	to := stateDir(t)
	for _, part := range []string{"log", "index", "blobs", "FORMAT"} {
		from := filepath.Join(dir, part)
		info, err := os.Stat(from)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if info.IsDir() {
			err = os.CopyFS(filepath.Join(to, part), os.DirFS(from))
		} else {
			var content []byte
			if content, err = os.ReadFile(from); err == nil {
				err = os.WriteFile(filepath.Join(to, part), content, 0o666)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return to
}

func TestReaderChangesNothing(t *testing.T) {
	dir := stateDir(t)
	n := open(t, dir)
	c := script(t, "a", "print one")
	run(t, n, c)
	mustClose(t, n)
	reader := openWith(t, Options{Dir: dir, ReadOnly: true})
	if _, err := reader.Run(t.Context(), c); err == nil || !strings.Contains(err.Error(), "reading only") {
		t.Errorf("Run: got %v", err)
	}
	if err := reader.Delete(t.Context(), "a"); err == nil || !strings.Contains(err.Error(), "reading only") {
		t.Errorf("Delete: got %v", err)
	}
	if _, err := reader.Files(t.Context(), "a"); err != nil {
		t.Errorf("Files: %v", err)
	}
}

func TestFollowerEndsWithItsContext(t *testing.T) {
	n := open(t, stateDir(t))
	r := begin(t, n, script(t, "a", "print one", "cat"))
	r.shows("one")
	cause := errors.New("enough")
	ctx, stop := context.WithCancelCause(t.Context())
	defer stop(nil)
	var last error
	for _, err := range n.Logs(ctx, "a", ReadOptions{Follow: true}) {
		last = err
		stop(cause)
	}
	if !errors.Is(last, cause) {
		t.Errorf("got %v, want the cause", last)
	}
}

func TestStateOfANewerFormatIsRefused(t *testing.T) {
	dir := stateDir(t)
	mustClose(t, open(t, dir))
	if err := os.WriteFile(filepath.Join(dir, "FORMAT"), []byte("waterbear store 99\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, readOnly := range []bool{false, true} {
		_, err := Open(t.Context(), Options{Dir: dir, ReadOnly: readOnly})
		if !errors.Is(err, storage.ErrNewerFormat) || !strings.Contains(err.Error(), "99") {
			t.Errorf("read only %t: got %v, want ErrNewerFormat", readOnly, err)
		}
	}
}

func TestNoDirectoryIsRefused(t *testing.T) {
	for _, readOnly := range []bool{false, true} {
		if _, err := Open(t.Context(), Options{ReadOnly: readOnly}); err == nil || !strings.Contains(err.Error(), "Options.Dir") {
			t.Errorf("got %v", err)
		}
	}
}

func TestDirectoryThatCannotBeWrittenIsNamed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	places := []string{file, filepath.Join(file, "state")}
	if os.Getuid() != 0 { // whom nothing is forbidden
		closed := filepath.Join(t.TempDir(), "closed")
		if err := os.Mkdir(closed, 0o555); err != nil {
			t.Fatal(err)
		}
		places = append(places, closed, filepath.Join(closed, "state"))
	}
	for _, dir := range places {
		if _, err := Open(t.Context(), Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "open state directory "+dir) {
			t.Errorf("%s: got %v", dir, err)
		}
	}
}

func TestReaderOfNoStateIsToldSoAndMakesNone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "missing")
	if _, err := Open(t.Context(), Options{Dir: dir, ReadOnly: true}); err == nil || !strings.Contains(err.Error(), "there is no store in "+dir) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory was made: %v", err)
	}
}

func TestCloseMayBeCalledTwiceAndCallsBehindItFail(t *testing.T) {
	n := open(t, stateDir(t))
	c := script(t, "a", "print one")
	run(t, n, c)
	mustClose(t, n)
	mustClose(t, n)
	for call, err := range calls(t, n, "a") {
		if !errors.Is(err, storage.ErrClosed) {
			t.Errorf("%s: got %v, want ErrClosed", call, err)
		}
	}
	if _, err := n.Workers(t.Context()); !errors.Is(err, storage.ErrClosed) {
		t.Errorf("Workers: got %v, want ErrClosed", err)
	}
}

func TestProgressIsToldOfACompilation(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state") // with a cache of its own
	stages := map[string]float64{}
	n := openWith(t, Options{Dir: dir, Progress: func(p Progress) { stages[p.Stage] = max(stages[p.Stage], p.Done) }})
	c := script(t, "a")
	c.Program, c.Args = small(t), []string{"hostile", "exit", "0"}
	run(t, n, c)
	if stages["compiling"] != 1 {
		t.Errorf("heard %v, want compiling to its end", stages)
	}
}
