package client

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/waterbear-run/waterbear/api"
)

// One request waits for a result for waitSlice, then asks anew; an answer that
// is late by answerGrace will not come, as when the machine of the server has
// lost its power.
const (
	waitSlice   = 30 * time.Second
	answerGrace = 15 * time.Second
	// atOnce is how soon a server says that a result is still to come if it does
	// not wait for it at all.
	atOnce = time.Second
)

// Invoke calls a function of a worker, which is made if it is not there.
//
// A call that is neither Async nor Due returns when it is done. It takes effect
// once, and its result is got, whatever happens to connections and the server
// meanwhile: Invoke asks again, with the same key, until ctx is done. When ctx
// is done first, the invocation goes on, the error wraps ctx's, and the
// Invocation has the Key to ask with later. A failed invocation is an
// *api.Problem with the code CodeInvocationFailed; the Invocation says why.
//
// A call that is Async or Due returns when it is accepted, durably. It is tried
// again only if it has a Key.
func (c *Client) Invoke(ctx context.Context, component, worker string, call api.Call) (api.Invocation, error) {
	awaited := !call.Async && call.Due.IsZero()
	if awaited && call.Key == "" {
		call.Key = newKey()
	}
	query := url.Values{}
	if call.Async {
		query.Set("async", "true")
	}
	if !call.Due.IsZero() {
		query.Set("at", call.Due.Format(time.RFC3339Nano))
	}
	r, err := c.invocation(component, worker, call, query)
	if err != nil {
		return api.Invocation{}, err
	}
	known := api.Invocation{Worker: component + "/" + worker, Key: call.Key, Function: call.Function, Args: r.body}
	switch {
	case awaited:
		return c.untilDone(ctx, r, known)
	case call.Key != "":
		return c.untilAnswered(ctx, r, known)
	default:
		return c.answered(ctx, r, known)
	}
}

// InvokeAfter accepts a call that begins after a delay, by the clock of the
// server. It is tried once: the delay counts from when it is accepted.
func (c *Client) InvokeAfter(ctx context.Context, component, worker string, call api.Call, delay time.Duration) (api.Invocation, error) {
	r, err := c.invocation(component, worker, call, url.Values{"in": {delay.String()}})
	if err != nil {
		return api.Invocation{}, err
	}
	return c.answered(ctx, r, api.Invocation{Worker: component + "/" + worker, Key: call.Key})
}

// Invocation is the invocation of a worker that has the key, as it is now.
func (c *Client) Invocation(ctx context.Context, component, worker, key string) (api.Invocation, error) {
	at, err := c.path("workers", component, worker, "invocations", key)
	if err != nil {
		return api.Invocation{}, err
	}
	known, err := c.answered(ctx, request{method: http.MethodGet, url: at}, api.Invocation{})
	return known, unfailed(known, err)
}

// Await waits until the invocation of a worker that has the key is done, through
// lost connections and restarts of the server as Invoke does. A failed one is no
// error: its state says so.
func (c *Client) Await(ctx context.Context, component, worker, key string) (api.Invocation, error) {
	at, err := c.path("workers", component, worker, "invocations", key)
	if err != nil {
		return api.Invocation{}, err
	}
	r := request{method: http.MethodGet, url: at, query: url.Values{"wait": {"true"}}}
	known, err := c.untilDone(ctx, r, api.Invocation{Worker: component + "/" + worker, Key: key})
	return known, unfailed(known, err)
}

// Cancel takes back an invocation that is not done.
func (c *Client) Cancel(ctx context.Context, component, worker, key string) (api.Invocation, error) {
	var canceled api.Invocation
	err := c.call(ctx, http.MethodDelete, nil, &canceled, "workers", component, worker, "invocations", key)
	return canceled, err
}

// maxAwaited bounds how many invocations CancelAwaited takes back.
const maxAwaited = 1000

// CancelAwaited is Cancel, and takes back also the invocation of another worker that
// this one waits for, what that one waits for, and so on, as long as they have not
// ended. If it fails, those before are taken back all the same.
func (c *Client) CancelAwaited(ctx context.Context, component, worker, key string) (api.Invocation, error) {
	known, err := c.Invocation(ctx, component, worker, key)
	if err != nil {
		return known, err
	}
	canceled, err := c.Cancel(ctx, component, worker, key)
	for range maxAwaited {
		if err != nil || known.Waits == nil {
			break
		}
		component, worker, _ = strings.Cut(known.Waits.Worker, "/")
		key = known.Waits.Key
		if known, err = c.Invocation(ctx, component, worker, key); err == nil {
			_, err = c.Cancel(ctx, component, worker, key)
		}
		if p, ok := errors.AsType[*api.Problem](err); ok && (p.Code == api.CodeNotCancelable || p.Code == api.CodeNoWorker || p.Code == api.CodeNoInvocation) {
			return canceled, nil // that one has ended, or never began
		}
	}
	return canceled, err
}

// unfailed takes back the error of an invocation that has failed.
func unfailed(known api.Invocation, err error) error {
	if p, ok := errors.AsType[*api.Problem](err); ok && p.Code == api.CodeInvocationFailed && known.State.Done() {
		return nil
	}
	return err
}

// invocation makes the request of a call.
func (c *Client) invocation(component, worker string, call api.Call, query url.Values) (request, error) {
	at, err := c.path("workers", component, worker, "invoke", call.Function)
	if err != nil {
		return request{}, err
	}
	body := call.Args
	if len(body) == 0 {
		body = json.RawMessage("[]")
	}
	r := request{method: http.MethodPost, url: at, query: query, body: body, media: typeJSON, header: http.Header{}}
	if call.WAVE != "" {
		r.body, r.media = []byte(call.WAVE), api.MediaWAVE
	}
	if call.Key != "" {
		if strings.ContainsFunc(call.Key, unicode.IsControl) {
			return request{}, api.NewProblem(api.CodeInvalid, fmt.Sprintf("the key %q has control characters; leave them out", call.Key))
		}
		r.header.Set("Idempotency-Key", call.Key)
	}
	return r, nil
}

// untilDone sends r until its invocation is done or ctx is.
func (c *Client) untilDone(ctx context.Context, r request, known api.Invocation) (api.Invocation, error) {
	pause := pauses{client: c}
	if r.query == nil {
		r.query = url.Values{}
	}
	for {
		slice := waitSlice
		if deadline, ok := ctx.Deadline(); ok {
			slice = max(min(slice, time.Until(deadline)), time.Millisecond)
		}
		r.query.Set("timeout", slice.String())
		began := time.Now()
		now, err := c.attempt(ctx, r, known, slice+answerGrace)
		known = now
		after, again := passing(err)
		switch {
		case err == nil && known.State.Done():
			return known, nil
		case ctx.Err() != nil:
			return known, unfinished(known, context.Cause(ctx))
		case err == nil || isTimeout(err):
			// The result is still to come. A server that says so without having
			// waited must not make us spin.
			if time.Since(began) >= atOnce {
				pause.reset()
			} else if err := pause.sleep(ctx, pause.grow()); err != nil {
				return known, unfinished(known, err)
			}
		case !again:
			return known, err
		default:
			if err := pause.wait(ctx, err, after); err != nil {
				return known, unfinished(known, err)
			}
		}
	}
}

// untilAnswered sends r until the server has said yes or no, or ctx is done.
func (c *Client) untilAnswered(ctx context.Context, r request, known api.Invocation) (api.Invocation, error) {
	pause := pauses{client: c}
	for {
		now, err := c.attempt(ctx, r, known, waitSlice)
		known = now
		after, again := passing(err)
		if !again || ctx.Err() != nil {
			return known, err
		}
		if err := pause.wait(ctx, err, after); err != nil {
			return known, err
		}
	}
}

// unfinished is waiting for an invocation that was given up.
func unfinished(known api.Invocation, cause error) error {
	return fmt.Errorf("wait for the invocation %s of %s: %w; if it was accepted it goes on: ask with its key",
		known.Key, known.Worker, cause)
}

func isTimeout(err error) bool {
	p, ok := errors.AsType[*api.Problem](err)
	return ok && p.Code == api.CodeTimeout
}

// attempt is answered, for at most so long.
func (c *Client) attempt(ctx context.Context, r request, known api.Invocation, longest time.Duration) (api.Invocation, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, longest, errNoAnswer)
	defer cancel()
	return c.answered(ctx, r, known)
}

// answered sends r and gives the invocation that the answer has, also if that
// is a problem; known is what to give if it has none.
func (c *Client) answered(ctx context.Context, r request, known api.Invocation) (api.Invocation, error) {
	var now api.Invocation
	err := c.do(ctx, r, &now)
	if err == nil && now.State == "" {
		err = c.nonsense("an invocation without a state")
	}
	if err == nil {
		return now, nil
	}
	if p, ok := errors.AsType[*api.Problem](err); ok && p.Invocation != nil {
		return *p.Invocation, err
	}
	return known, err
}

// newKey makes an idempotency key that nobody else makes.
func newKey() string { return "c-" + strings.ToLower(rand.Text()) }
