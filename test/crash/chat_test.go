package crash

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/internal/guests"
)

const (
	chatRooms    = 3
	chatSpeakers = 3 // in each room
	chatReaders  = 2
)

// chat is people in rooms of the example, who are as stubborn as browsers.
type chat struct {
	t      *testing.T
	http   *http.Client
	silent atomic.Bool  // nobody says anything any more
	broken atomic.Int64 // streams of events
}

// ask sends a request to a room until it has a whole response.
func (c *chat) ask(method, room, path, text, key string) string {
	for began := time.Now(); ; time.Sleep(5 * time.Millisecond) { // until the server is there
		r, err := http.NewRequestWithContext(c.t.Context(), method, "http://localhost/v1/workers/chat/"+room+"/http"+path, strings.NewReader(text))
		if err != nil {
			c.t.Error(err)
			return ""
		}
		if key != "" {
			r.Header.Set("Idempotency-Key", key)
		}
		response, err := c.http.Do(r)
		if err == nil {
			var body []byte
			body, err = io.ReadAll(response.Body)
			_ = response.Body.Close()
			if err == nil && response.StatusCode < http.StatusMultipleChoices {
				return string(body)
			}
			if response.StatusCode < http.StatusInternalServerError && response.StatusCode >= http.StatusMultipleChoices {
				c.t.Errorf("%s %s of %s: %s %s (seed %d)", method, path, room, response.Status, body, *seed)
				return ""
			}
		}
		if time.Since(began) > patience {
			c.t.Errorf("%s %s of %s is not answered: %v (seed %d)", method, path, room, err, *seed)
			return ""
		}
	}
}

// speak says one thing after the other, and gives what was said by its number.
func (c *chat) speak(room, who string) map[int]string {
	said := map[int]string{}
	for n := 1; !c.silent.Load() && !c.t.Failed(); n++ {
		text := fmt.Sprintf("%s %d", who, n)
		number, err := strconv.Atoi(strings.TrimSpace(c.ask("POST", room, "/messages", text, who+"-"+strconv.Itoa(n))))
		if err != nil {
			c.t.Errorf("%q has no number: %v (seed %d)", text, err, *seed)
			return said
		}
		said[number] = text
	}
	return said
}

// read follows the events of a room as an EventSource does, until it has as many
// as enough gives, and gives all it was told. One who forgets begins anew at the
// end of each stream, as long as people talk, and is told the same again.
func (c *chat) read(room string, forgets bool, enough func() int) (told []string) {
	var before []string
	for began := time.Now(); len(told) < enough(); time.Sleep(5 * time.Millisecond) {
		if time.Since(began) > 2*patience {
			c.t.Errorf("a reader of %s was told %d messages of %d (seed %d)", room, len(told), enough(), *seed)
			return told
		}
		r, err := http.NewRequestWithContext(c.t.Context(), "GET", "http://localhost/v1/workers/chat/"+room+"/http/events", nil)
		if err != nil {
			c.t.Error(err)
			return told
		}
		r.Header.Set("Last-Event-ID", strconv.Itoa(len(told)))
		response, err := c.http.Do(r)
		if err != nil {
			continue
		}
		if response.StatusCode == http.StatusOK {
			told, err = c.events(room, response.Body, told)
		} else {
			err = fmt.Errorf("the room answers %s", response.Status)
		}
		_ = response.Body.Close()
		if err != nil {
			c.broken.Add(1)
		} else if forgets && !c.silent.Load() {
			if len(told) < len(before) || !slices.Equal(told[:len(before)], before) {
				c.t.Errorf("a reader of %s was told (seed %d)\n%q\nand before\n%q", room, *seed, told, before)
			}
			before, told = told, nil
		}
	}
	return told
}

// events adds what a stream tells, also if it breaks off: then the error says so.
func (c *chat) events(room string, stream io.Reader, told []string) ([]string, error) {
	lines := bufio.NewScanner(stream)
	id, data := "", ""
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ": ")
		switch field {
		case "id":
			id = value
		case "data":
			data = value
		case "":
			if id == "" { // not of a message
				continue
			}
			if want := strconv.Itoa(len(told) + 1); id != want {
				c.t.Errorf("a reader of %s is told message %s behind %d others (seed %d)", room, id, len(told), *seed)
			}
			told = append(told, data)
			id, data = "", ""
		}
	}
	return told, lines.Err()
}

// TestRoomsOfAServerThatIsKilledKeepEveryMessageOnceAndInOrder lets people talk in
// several rooms, and read along.
func TestRoomsOfAServerThatIsKilledKeepEveryMessageOnceAndInOrder(t *testing.T) {
	random := randomOf(t, 1100)
	s := startServer(t, restless...)
	if _, err := s.client().Deploy(t.Context(), "chat", guests.Wasm(t, "chat"), nil); err != nil {
		t.Fatal(err)
	}
	c := &chat{t: t, http: s.http()}
	var speakers, readers sync.WaitGroup
	var said [chatRooms][chatSpeakers]map[int]string
	var told [chatRooms][chatReaders][]string
	var count [chatRooms]atomic.Int64 // that readers are to be told; -1 while people talk
	for i := range chatRooms {
		room := fmt.Sprint("room", i)
		count[i].Store(-1)
		for j := range chatSpeakers {
			speakers.Go(func() { said[i][j] = c.speak(room, fmt.Sprint("s", j)) })
		}
		for j := range chatReaders {
			readers.Go(func() {
				told[i][j] = c.read(room, j == 1, func() int {
					if n := int(count[i].Load()); n >= 0 || t.Failed() {
						return n
					}
					return 1 << 30 // nobody knows yet
				})
			})
		}
	}
	n := share(2)
	s.restart(n, 600, random)
	c.silent.Store(true)
	speakers.Wait()
	all := 0
	for i := range chatRooms {
		sum := 0
		for _, by := range said[i] {
			sum += len(by)
		}
		count[i].Store(int64(sum))
		all += sum
	}
	readers.Wait()
	for i := range chatRooms {
		room := fmt.Sprint("room", i)
		kept := strings.Split(strings.TrimSuffix(c.ask("GET", room, "/messages", "", ""), "\n"), "\n")
		want := make([]string, len(kept))
		for j, by := range said[i] {
			who, last := fmt.Sprint("s", j), 0
			for number, text := range by {
				if number < 1 || number > len(want) || want[number-1] != "" {
					t.Fatalf("message %d of %s is %q as well, or there is none (seed %d)", number, room, text, *seed)
				}
				want[number-1] = text
			}
			for _, text := range kept { // each speaker's in the order of speaking
				if strings.HasPrefix(text, who+" ") {
					if last++; text != fmt.Sprintf("%s %d", who, last) {
						t.Errorf("%s has %q where message %d of %s was said (seed %d)", room, text, last, who, *seed)
					}
				}
			}
		}
		if !slices.Equal(kept, want) {
			t.Errorf("%s has kept (seed %d)\n%q\nand was told\n%q", room, *seed, kept, want)
		}
		for _, told := range told[i] {
			if !slices.Equal(told, kept) {
				t.Errorf("a reader of %s was told (seed %d)\n%q\nand kept is\n%q", room, *seed, told, kept)
			}
		}
	}
	t.Logf("%d kills, %d messages, %d streams broke off", n, all, c.broken.Load())
}
