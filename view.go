package waterbear

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/waterbear-run/waterbear/internal/catalog"
	"github.com/waterbear-run/waterbear/internal/durable"
	"github.com/waterbear-run/waterbear/internal/host/ambient"
	"github.com/waterbear-run/waterbear/internal/host/await"
	"github.com/waterbear-run/waterbear/internal/host/blobstore"
	"github.com/waterbear-run/waterbear/internal/host/config"
	"github.com/waterbear-run/waterbear/internal/host/exchange"
	"github.com/waterbear-run/waterbear/internal/host/hostdir"
	"github.com/waterbear-run/waterbear/internal/host/inbound"
	"github.com/waterbear-run/waterbear/internal/host/keyvalue"
	"github.com/waterbear-run/waterbear/internal/host/platform"
	"github.com/waterbear-run/waterbear/internal/host/promise"
	"github.com/waterbear-run/waterbear/internal/host/socket"
	"github.com/waterbear-run/waterbear/internal/oplog"
)

// recorded lists every function that oplogs speak of.
func recorded() []durable.Declared {
	return slices.Concat(
		ambient.Funcs(),
		hostdir.Funcs(),
		await.Funcs(),
		exchange.Funcs(),
		inbound.Funcs(),
		config.Funcs(),
		keyvalue.Funcs(),
		blobstore.Funcs(),
		socket.Funcs(),
		platform.Funcs(),
		promise.Funcs(),
	)
}

// declarations finds functions by the codes of oplog entries.
type declarations map[uint64]durable.Declared

func newDeclarations() declarations {
	d := declarations{}
	for _, f := range recorded() {
		code, _, _ := f.Declaration()
		d[code] = f
	}
	return d
}

// call is a recorded call in JSON.
type call struct {
	Func     string `json:"func"`
	Effect   string `json:"effect"`
	Started  uint64 `json:"started,omitempty"`
	Request  string `json:"request,omitempty"`
	Response string `json:"response,omitempty"`
}

// reader turns entries into their views. It remembers what the calls under way
// are, since an outcome names only the entry of its intent.
type reader struct {
	functions declarations
	started   map[uint64]uint64 // index of an intent: code
}

func newReader() *reader {
	return &reader{newDeclarations(), map[uint64]uint64{}}
}

// entry makes the view of e.
func (r *reader) entry(e oplog.Entry) (OplogEntry, error) {
	v := OplogEntry{Index: e.Index, At: e.At.Time(), Kind: oplog.Name(e.Body)}
	var body any = e.Body
	switch b := e.Body.(type) {
	case *oplog.HostCall:
		c := r.call(b.Func)
		c.Request, c.Response = r.request(b.Func, b.Request), r.response(b.Func, b.Response)
		body, v.Text = c, line(c)
	case *oplog.HostCallStarted:
		r.note(e)
		c := r.call(b.Func)
		c.Request = r.request(b.Func, b.Request)
		body, v.Text = c, line(c)
	case *oplog.HostCallFinished:
		code := r.started[b.Started]
		delete(r.started, b.Started)
		c := r.call(code)
		c.Started, c.Response = b.Started, r.response(code, b.Response)
		body, v.Text = c, fmt.Sprintf("of %d, %s", b.Started, line(c))
	default:
		v.Text = text(b)
	}
	encoded, err := json.Marshal(body)
	v.Body = encoded
	return v, err
}

// note remembers what e began, if it is an intent.
func (r *reader) note(e oplog.Entry) {
	if b, ok := e.Body.(*oplog.HostCallStarted); ok {
		r.started[e.Index] = b.Func
	}
}

func (r *reader) knows(started uint64) bool {
	_, ok := r.started[started]
	return ok
}

func (r *reader) call(code uint64) call {
	f, ok := r.functions[code]
	if !ok {
		return call{Func: fmt.Sprintf("function %d", code)}
	}
	_, name, effect := f.Declaration()
	return call{Func: name, Effect: effect.String()}
}

func (r *reader) request(code uint64, b []byte) string {
	if f, ok := r.functions[code]; ok {
		return f.ShowRequest(b)
	}
	return fmt.Sprintf("%x", b)
}

func (r *reader) response(code uint64, b []byte) string {
	if f, ok := r.functions[code]; ok {
		return f.ShowResponse(b)
	}
	return fmt.Sprintf("%x", b)
}

// line is a call on one line: name, request, response.
func line(c call) string {
	var s strings.Builder
	s.WriteString(c.Func)
	if c.Request != "" {
		s.WriteString(" " + c.Request)
	}
	if c.Response != "" {
		s.WriteString(" → " + c.Response)
	}
	return s.String()
}

// text is an entry that is no call on one line.
func text(b oplog.Body) string {
	switch b := b.(type) {
	case *oplog.Create:
		if b.Revision != 0 {
			return fmt.Sprintf("revision %d, arguments %q", b.Revision, b.Args)
		}
		return fmt.Sprintf("program %.12s…, arguments %q", b.Program, b.Args)
	case *oplog.Log:
		return fmt.Sprintf("%s %q", b.Stream, []byte(b.Bytes))
	case *oplog.Exited:
		return fmt.Sprintf("code %d", b.Code)
	case *oplog.Error:
		return b.Reason
	case *oplog.Interrupted:
		return b.Reason
	case *oplog.Recovered:
		return fmt.Sprintf("by owner %d", b.Epoch)
	case *oplog.Waypoint:
		if b.Atomic {
			return "an atomic region begins"
		}
		return ""
	case *oplog.AtomicEnd:
		return fmt.Sprintf("of the atomic region that began at %d", b.Begin)
	case *oplog.Jump:
		text := fmt.Sprintf("back to %d, %s: %s", b.From-1, b.Code, b.Reason)
		if b.Retry != 0 {
			text += ", again at " + b.Retry.Time().Format(time.RFC3339)
		}
		return text
	case *oplog.CallHeld:
		return fmt.Sprintf("of %d, until a person says what has become of it", b.Started)
	case *oplog.CallResolved:
		return fmt.Sprintf("of %d, %s", b.Started, b.How)
	case *oplog.Forked:
		return "a copy of " + b.Origin.String() + " from here on"
	case *oplog.Omitted:
		return b.Kind + " of the origin alone"
	case *oplog.HostCallRepeated:
		return fmt.Sprintf("of %d, attempt %d at %s: %s", b.Started, b.Attempt, b.Until.Time().Format(time.RFC3339), b.Reason)
	}
	return invocationText(b)
}

// items is an array of JSON without its brackets.
func items(array []byte) string {
	return strings.TrimSpace(strings.TrimSuffix(strings.TrimPrefix(string(array), "["), "]"))
}

// invocationText is an entry of an invocation's life on one line.
func invocationText(b oplog.Body) string {
	switch b := b.(type) {
	case *oplog.InvocationAccepted:
		text := b.Function + "(" + items(b.Args) + ")"
		if catalog.IsHandler(b.Function) {
			if q, err := inbound.Parse(b.Args); err == nil {
				text = fmt.Sprintf("%s %s, %d bytes", q.Method, q.Path, q.Body.Size)
			}
		}
		if b.Key != "" {
			text += fmt.Sprintf(" key %q", b.Key)
		}
		if b.Due != 0 {
			text += " due " + b.Due.Time().Format(time.RFC3339)
		}
		if b.Caller.Worker != "" {
			text += fmt.Sprintf(" called by %s in %q", b.Caller.Worker, b.Caller.Key)
		}
		return text
	case *oplog.InvocationStarted:
		if b.Accepted == 0 {
			return fmt.Sprintf("initialization, attempt %d", b.Attempt)
		}
		return fmt.Sprintf("of %d, attempt %d", b.Accepted, b.Attempt)
	case *oplog.InvocationFinished:
		text := fmt.Sprintf("of %d", b.Accepted)
		if result := items(b.Result); result != "" {
			text += " → " + result
		}
		return text
	case *oplog.InvocationFailed:
		text := fmt.Sprintf("of %d, %s: %s", b.Accepted, b.Code, b.Reason)
		if b.Retry != 0 {
			text += ", again at " + b.Retry.Time().Format(time.RFC3339)
		}
		return text
	case *oplog.InvocationCanceled:
		return fmt.Sprintf("of %d", b.Accepted)
	case *oplog.Suspended:
		return suspendedText(b)
	case *oplog.Stuck:
		return b.Reason
	case *oplog.Image:
		return fmt.Sprintf("covers %d, %d bytes", b.Covers, b.Size)
	case *oplog.Delta:
		return fmt.Sprintf("covers %d, %d bytes behind entry %d", b.Covers, len(b.State), b.After)
	case *oplog.Archiving:
		return fmt.Sprintf("archives to come: %d", len(b.Blobs))
	case *oplog.Archived:
		return archivedText(b)
	case *oplog.RequestBody:
		return fmt.Sprintf("%d bytes", len(b.Bytes))
	case *oplog.Response:
		return fmt.Sprintf("status %d, %d fields", b.Status, len(b.Fields))
	case *oplog.ResponseBody:
		return fmt.Sprintf("%q", []byte(b.Bytes))
	case *oplog.ResponseEnd:
		return b.Failure
	case *oplog.Due:
		return fmt.Sprintf("%s at %s", b.Worker, b.At.Time().Format(time.RFC3339))
	}
	return promiseText(b)
}

// promiseText is an entry about a promise on one line.
func promiseText(b oplog.Body) string {
	switch b := b.(type) {
	case *oplog.PromiseCreated:
		return fmt.Sprintf("%s, %q", b.Promise, b.Label)
	case *oplog.PromiseSettled:
		how := "completed"
		if b.Failed {
			how = "failed"
		}
		return fmt.Sprintf("%s %s by %s: %s", b.Promise, how, b.By, promise.Clip(b.Value))
	case *oplog.PromiseTaken:
		return b.Promise
	case *oplog.PromiseWithdrawn:
		return b.Promise
	}
	return ""
}

// suspendedText says what a worker waits for.
func suspendedText(b *oplog.Suspended) string {
	var parts []string
	if b.For != "" {
		parts = append(parts, "for "+b.For)
	}
	if b.Until != 0 {
		parts = append(parts, "until "+b.Until.Time().Format(time.RFC3339))
	}
	return strings.Join(parts, ", or ")
}

// archivedText says what has become of truncated entries on one line.
func archivedText(b *oplog.Archived) string {
	parts := []string{fmt.Sprintf("what is below %d may go", b.Below)}
	for _, shelf := range []struct {
		name string
		*oplog.Shelving
	}{{"results", &b.Results}, {"output", &b.Logs}} {
		for _, a := range shelf.Added {
			parts = append(parts, fmt.Sprintf("%s of %d to %d: %d", shelf.name, a.From, a.Below-1, a.Count))
		}
		if shelf.Forget > 0 {
			parts = append(parts, fmt.Sprintf("%s below %d forgotten", shelf.name, shelf.Forget))
		}
	}
	return strings.Join(parts, ", ")
}
