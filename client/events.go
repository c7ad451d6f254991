package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/waterbear-run/waterbear/api"
)

// maxEvent bounds one server-sent event, in bytes: an entry of an oplog has at
// most a mebibyte, which JSON can make several of.
const maxEvent = 32 << 20

// eventProblem is the name of an event that is an api.Problem.
const eventProblem = "problem"

var errEvent = fmt.Errorf("an event of the stream is larger than %d MiB", maxEvent>>20)

// event is one server-sent event.
type event struct {
	name string
	id   string
	data []byte
}

// longestSilence bounds how long a stream may say nothing at all. Servers send a
// sign of life every few seconds; one that does not has lost its power, or the
// network has.
const longestSilence = time.Minute

// listening gives a context that ends when nothing was heard for longestSilence.
// It counts from the first call of heard on, and forget ends it.
func listening(ctx context.Context) (listened context.Context, heard, forget func()) {
	listened, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(longestSilence, func() { cancel(errNoAnswer) })
	timer.Stop()
	return listened, func() { timer.Reset(longestSilence) }, func() {
		timer.Stop()
		cancel(nil)
	}
}

// hear gives the events of a stream, and tells of everything that is read.
func hear(r io.Reader, heard func()) *events {
	heard()
	return newEvents(heardReader{r, heard})
}

// heardReader tells of everything that is read.
type heardReader struct {
	io.Reader
	heard func()
}

func (r heardReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if n > 0 {
		r.heard()
	}
	return n, err
}

// events reads a stream of server-sent events, as the HTML standard has them in
// section 9.2.6.
type events struct {
	lines *bufio.Reader
}

func newEvents(r io.Reader) *events { return &events{bufio.NewReaderSize(r, 64<<10)} }

// next gives the next event. The end of the stream is io.EOF: an event that it
// cuts off is not given.
func (s *events) next() (event, error) {
	var e event
	data := false
	for {
		line, err := s.line(maxEvent - len(e.data))
		if err != nil {
			return event{}, err
		}
		if line == "" {
			if data {
				return e, nil
			}
			e = event{} // an event without data is none
			continue
		}
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "event":
			e.name = value
		case "id":
			e.id = value
		case "data":
			if data {
				e.data = append(e.data, '\n')
			}
			e.data = append(e.data, value...)
			data = true
		}
	}
}

// line reads up to the end of a line, which it leaves out.
func (s *events) line(most int) (string, error) {
	var whole []byte
	for {
		part, err := s.lines.ReadSlice('\n')
		if len(whole)+len(part) > most {
			return "", errEvent
		}
		whole = append(whole, part...)
		switch {
		case err == nil:
			return string(bytes.TrimRight(whole, "\r\n")), nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return "", err
		}
	}
}

// eventProblem gives the error that an event is.
func (c *Client) eventProblem(e event) error {
	p := &api.Problem{}
	if err := json.Unmarshal(e.data, p); err != nil || p.Code == "" {
		return c.nonsense("a problem that cannot be decoded")
	}
	return p
}
