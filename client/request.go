package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/waterbear-run/waterbear/api"
)

// maxAnswer bounds an answer that is read into memory, in bytes.
const maxAnswer = 64 << 20

// The media types of the interface.
const (
	typeJSON    = "application/json"
	typeProblem = "application/problem+json"
	typeEvents  = "text/event-stream"
	typeWasm    = "application/wasm"
	typeText    = "text/plain"
	typeBytes   = "application/octet-stream"
	typeOpenAPI = "application/openapi+json"
)

// request is what is to be sent.
type request struct {
	method  string
	url     string // complete but for the query
	query   url.Values
	header  http.Header
	body    []byte // nil: none
	media   string // of the body
	accepts string // "": JSON
}

// path gives the URL of a place below /v1; each part is one segment of it.
func (c *Client) path(parts ...string) (string, error) {
	var b strings.Builder
	b.WriteString(c.base)
	for _, part := range parts {
		// These would make it the path of something else.
		if part == "" || part == "." || part == ".." {
			return "", api.NewProblem(api.CodeInvalid, fmt.Sprintf("%q is no name", part))
		}
		b.WriteByte('/')
		b.WriteString(url.PathEscape(part))
	}
	return b.String(), nil
}

// call sends a request to the path of parts, with in as JSON if it is not nil,
// and decodes the answer into out if that is not nil.
func (c *Client) call(ctx context.Context, method string, in, out any, parts ...string) error {
	at, err := c.path(parts...)
	if err != nil {
		return err
	}
	r := request{method: method, url: at}
	if in != nil {
		if r.body, err = json.Marshal(in); err != nil {
			return fmt.Errorf("encode the request: %w", err)
		}
		r.media = typeJSON
	}
	return c.do(ctx, r, out)
}

// do sends r and decodes the answer into out if that is not nil.
func (c *Client) do(ctx context.Context, r request, out any) error {
	answer, err := c.send(ctx, r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	return c.decode(answer, out)
}

// send sends r and gives the answer, which the caller closes; an answer that
// says no is the error.
func (c *Client) send(ctx context.Context, r request) (*http.Response, error) {
	at := r.url
	if len(r.query) > 0 {
		at += "?" + r.query.Encode()
	}
	var body io.Reader
	if r.body != nil {
		body = bytes.NewReader(r.body)
	}
	q, err := http.NewRequestWithContext(ctx, r.method, at, body)
	if err != nil {
		return nil, fmt.Errorf("make the request: %w", err)
	}
	maps.Copy(q.Header, r.header)
	if r.media != "" {
		q.Header.Set("Content-Type", r.media)
	}
	if r.accepts == "" {
		r.accepts = typeJSON + ", " + typeProblem
	}
	q.Header.Set("Accept", r.accepts)
	q.Header.Set("User-Agent", "waterbear-client")
	if c.token != "" {
		q.Header.Set("Authorization", "Bearer "+c.token)
	}
	answer, err := c.http.Do(q)
	if err != nil {
		return nil, c.unreached(ctx, err)
	}
	if answer.StatusCode >= 200 && answer.StatusCode < 300 {
		return answer, nil
	}
	defer answer.Body.Close()
	return nil, c.problem(answer)
}

// decode reads an answer that says yes.
func (c *Client) decode(answer *http.Response, out any) error {
	if out == nil {
		return nil
	}
	b, err := readAll(answer.Body)
	if err != nil {
		return c.unreached(answer.Request.Context(), err)
	}
	if media := mediaOf(answer.Header); media != typeJSON {
		return c.nonsense("%s with the media type %q", answer.Status, media)
	}
	if err := json.Unmarshal(b, out); err != nil {
		return c.nonsense("what cannot be decoded: %v", err)
	}
	return nil
}

// problem gives an answer that says no as an error: *api.Problem, also if
// something that is no server of ours gave it.
func (c *Client) problem(answer *http.Response) error {
	b, err := readAll(answer.Body)
	if err != nil {
		return c.unreached(answer.Request.Context(), err)
	}
	p := &api.Problem{}
	if mediaOf(answer.Header) != typeProblem || json.Unmarshal(b, p) != nil || p.Code == "" {
		p = &api.Problem{
			Title: "Not an answer of Waterbear",
			Detail: fmt.Sprintf("%s answered %s and not what a Waterbear server would; check the URL, and what is between",
				c.url, answer.Status),
		}
	}
	p.Status = answer.StatusCode
	if p.Detail == "" {
		p.Detail = p.Title
	}
	if after, ok := retryAfter(answer.Header.Get("Retry-After")); ok {
		p.RetryAfter = after
	}
	return p
}

// retryAfter reads the header: seconds, or a date.
func retryAfter(value string) (seconds int, ok bool) {
	if n, err := strconv.Atoi(value); err == nil && n >= 0 {
		return n, true
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, int(time.Until(at)/time.Second)), true
	}
	return 0, false
}

// errTooLarge is an answer beyond maxAnswer. Asking again would not help.
var errTooLarge = fmt.Errorf("the answer is larger than %d MiB", maxAnswer>>20)

func readAll(r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxAnswer+1))
	if err == nil && len(b) > maxAnswer {
		return nil, errTooLarge
	}
	return b, err
}

// mediaOf is the media type of what has the header, without its parameters.
func mediaOf(h http.Header) string {
	media, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		return h.Get("Content-Type")
	}
	return media
}

// errNonsense is what answers that cannot be understood wrap.
var errNonsense = errors.New("the answer makes no sense")

func (c *Client) nonsense(format string, args ...any) error {
	return fmt.Errorf("%s answered %s; is it a Waterbear server, and not newer than this client? %w",
		c.url, fmt.Sprintf(format, args...), errNonsense)
}
