package client

import (
	"context"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/waterbear-run/waterbear/api"
)

// CreateWorker makes a worker, or gives the one there is if it was created
// alike. Invoke makes workers too, so it is for what NewWorker says.
func (c *Client) CreateWorker(ctx context.Context, component, worker string, n api.NewWorker) (api.WorkerDetail, error) {
	var made api.WorkerDetail
	err := c.call(ctx, http.MethodPut, n, &made, "workers", component, worker)
	return made, err
}

// Worker is all there is to tell of a worker.
func (c *Client) Worker(ctx context.Context, component, worker string) (api.WorkerDetail, error) {
	var found api.WorkerDetail
	err := c.call(ctx, http.MethodGet, nil, &found, "workers", component, worker)
	return found, err
}

// DeleteWorker deletes a worker and all that is kept of it.
func (c *Client) DeleteWorker(ctx context.Context, component, worker string) error {
	return c.call(ctx, http.MethodDelete, nil, nil, "workers", component, worker)
}

// Fork makes a copy of a worker that is in no invocation, under a name in the same
// component, and gives the copy.
func (c *Client) Fork(ctx context.Context, component, worker, name string) (api.WorkerDetail, error) {
	body := struct {
		Name string `json:"name"`
	}{name}
	var made api.WorkerDetail
	err := c.call(ctx, http.MethodPost, body, &made, "workers", component, worker, "fork")
	return made, err
}

// Interrupt stops a worker until Resume. The reason, which may be empty, is
// shown to people.
func (c *Client) Interrupt(ctx context.Context, component, worker, reason string) error {
	body := struct {
		Reason string `json:"reason"`
	}{reason}
	return c.call(ctx, http.MethodPost, body, nil, "workers", component, worker, "interrupt")
}

// Resume lets an interrupted worker go on.
func (c *Client) Resume(ctx context.Context, component, worker string) error {
	return c.call(ctx, http.MethodPost, nil, nil, "workers", component, worker, "resume")
}

// Retry lets a Failed or Retrying worker try again at once.
func (c *Client) Retry(ctx context.Context, component, worker string) error {
	return c.call(ctx, http.MethodPost, nil, nil, "workers", component, worker, "retry")
}

// WorkersPage lists up to limit workers (0: as many as the server likes) behind
// cursor ("": from the first). A page may have fewer, even none, and still a
// Next.
func (c *Client) WorkersPage(ctx context.Context, f api.WorkerFilter, cursor string, limit int) (api.Page[api.Worker], error) {
	query := url.Values{}
	set := func(name, value string) {
		if value != "" {
			query.Set(name, value)
		}
	}
	set("component", f.Component)
	set("status", string(f.Status))
	set("name", f.Name)
	set("env", f.Env)
	set("createdAfter", timeText(f.CreatedAfter))
	set("createdBefore", timeText(f.CreatedBefore))
	set("cursor", cursor)
	if f.Revision > 0 {
		set("revision", strconv.FormatUint(f.Revision, 10))
	}
	if limit > 0 {
		set("limit", strconv.Itoa(limit))
	}
	var page api.Page[api.Worker]
	err := c.do(ctx, request{method: http.MethodGet, url: c.base + "/workers", query: query}, &page)
	return page, err
}

func timeText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(time.RFC3339Nano)
}

// Workers lists all workers that the filter chooses, page after page. It ends
// with the first error that does not pass by itself.
func (c *Client) Workers(ctx context.Context, f api.WorkerFilter) iter.Seq2[api.Worker, error] {
	return func(yield func(api.Worker, error) bool) {
		pause := pauses{client: c}
		for cursor := ""; ; {
			page, err := c.WorkersPage(ctx, f, cursor, 0)
			if after, again := passing(err); again && cursor != "" {
				err = pause.wait(ctx, err, after)
				if err == nil {
					continue
				}
			}
			if err == nil && page.Next != "" && page.Next == cursor {
				err = c.nonsense("the same page twice")
			}
			if err != nil {
				yield(api.Worker{}, err)
				return
			}
			pause.reset()
			for _, w := range page.Items {
				if !yield(w, nil) {
					return
				}
			}
			if cursor = page.Next; cursor == "" {
				return
			}
		}
	}
}

// Files lists all files of a worker, by path.
func (c *Client) Files(ctx context.Context, component, worker string) ([]api.File, error) {
	return list[api.File](ctx, c, "workers", component, worker, "files")
}

// File opens a file of a worker. The caller closes it. A read that fails means
// that the file is not complete.
func (c *Client) File(ctx context.Context, component, worker, file string) (io.ReadCloser, error) {
	parts := []string{"workers", component, worker, "files"}
	if cleaned := strings.Trim(path.Clean("/"+file), "/"); cleaned != "" {
		parts = append(parts, strings.Split(cleaned, "/")...)
	}
	at, err := c.path(parts...)
	if err != nil {
		return nil, err
	}
	return c.content(ctx, at)
}

// Export writes all there is of a worker to a tar archive. If it returns an
// error, what was written is not complete.
func (c *Client) Export(ctx context.Context, component, worker string, to io.Writer) error {
	at, err := c.path("workers", component, worker, "export")
	if err != nil {
		return err
	}
	archive, err := c.content(ctx, at)
	if err != nil {
		return err
	}
	defer archive.Close()
	if _, err := io.Copy(to, archive); err != nil {
		return fmt.Errorf("export %s/%s: %w", component, worker, err)
	}
	return nil
}

// content opens what is at a URL, however large it is.
func (c *Client) content(ctx context.Context, at string) (io.ReadCloser, error) {
	answer, err := c.send(ctx, request{method: http.MethodGet, url: at, accepts: "*/*"})
	if err != nil {
		return nil, err
	}
	return &content{answer.Body, ctx, c}, nil
}

// content is the body of an answer whose failures say what happened.
type content struct {
	io.ReadCloser
	ctx    context.Context
	client *Client
}

func (b *content) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		err = b.client.unreached(b.ctx, err)
	}
	return n, err
}
