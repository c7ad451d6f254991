package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/waterbear-run/waterbear/api"
)

// Pauses between attempts. They double, each less a random part of up to a
// half, so that the clients of a server that comes back do not all ask at once.
const (
	firstPause   = 100 * time.Millisecond
	longestPause = 5 * time.Second
	// longestRetryAfter bounds what a server can make a client wait at once.
	longestRetryAfter = time.Hour
)

// passing reports whether what a request failed with may be gone when it is
// sent again, and how long the server wants to be left alone.
func passing(err error) (after time.Duration, ok bool) {
	if lost, ok := errors.AsType[*unreachedError](err); ok {
		return 0, !lost.lasting
	}
	p, ok := errors.AsType[*api.Problem](err)
	if !ok {
		return 0, errors.Is(err, errNoAnswer)
	}
	switch p.Status {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return min(time.Duration(p.RetryAfter)*time.Second, longestRetryAfter), true
	case http.StatusBadGateway, http.StatusGatewayTimeout:
		// A proxy cannot reach the server, or gave up on it.
		return 0, p.Code == ""
	}
	return 0, false
}

// errNoAnswer is a server that took too long to say anything.
var errNoAnswer = errors.New("no answer in time")

// pauses counts attempts that failed one after the other.
type pauses struct {
	client *Client
	last   time.Duration
}

// wait pauses before another attempt, at least for after. It gives an error if
// ctx is done before.
func (p *pauses) wait(ctx context.Context, cause error, after time.Duration) error {
	pause := max(p.grow(), after)
	if p.client.retrying != nil {
		p.client.retrying(cause, pause)
	}
	if err := p.sleep(ctx, pause); err != nil {
		return fmt.Errorf("%w, while trying again after: %w", err, cause)
	}
	return nil
}

// grow gives the next pause.
func (p *pauses) grow() time.Duration {
	p.last = min(max(2*p.last, firstPause), longestPause)
	return p.last - rand.N(p.last/2)
}

// reset makes the next pause short again: something went well.
func (p *pauses) reset() { p.last = 0 }

// sleep waits for d, or until ctx is done, whose cause it then returns.
func (p *pauses) sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
