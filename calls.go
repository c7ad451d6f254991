package waterbear

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/agenda"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/ledger"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/worker"
)

// openLedgers makes what reads the external calls of workers.
func (n *Node) openLedgers() *ledger.Ledgers {
	return ledger.New(ledger.Config{
		Logs: n.store.Logs(), Functions: recorded(),
		Key: func(a *oplog.InvocationAccepted, index oplog.Index) string {
			if a.Key != "" {
				return a.Key
			}
			return worker.KeyPrefix + strconv.FormatUint(index, 10)
		},
	})
}

// maxCallWorkers is how many workers one page of calls looks at.
const maxCallWorkers = 100

// Calls gives up to limit external calls behind cursor ("": from the first) that the
// filter chooses: those of one worker after those of another, the newest first. A
// page may have fewer, even none, and still a Next.
func (p *Platform) Calls(ctx context.Context, f api.CallFilter, cursor string, limit int) (api.CallPage, error) {
	page := api.CallPage{Page: api.Page[api.ExternalCall]{Items: []api.ExternalCall{}}}
	at, below, err := p.startOfCalls(f, cursor)
	if err != nil {
		return page, err
	}
	for looked := 0; at.Name != ""; looked++ {
		if looked >= maxCallWorkers || len(page.Items) >= limit {
			page.Next = callCursor(at, below)
			return page, nil
		}
		one, err := p.callsOf(ctx, at, ledger.Query{Worker: at, Below: below, State: f.State, Reads: f.Reads, Limit: limit - len(page.Items)})
		if err != nil {
			return page, err
		}
		page.Items, page.Problems = append(page.Items, one.Calls...), append(page.Problems, one.Problems...)
		if below = one.Next; below != 0 {
			page.Next = callCursor(at, below)
			return page, nil
		}
		if f.Worker != "" {
			break
		}
		if at, err = p.nextWithCalls(ctx, f, at); err != nil {
			return page, err
		}
	}
	return page, nil
}

// callsOf reads a page of one worker. Of one that has just been deleted it has
// nothing, unless it is asked for by name.
func (p *Platform) callsOf(ctx context.Context, w id.Worker, q ledger.Query) (ledger.Page, error) {
	var err error
	q.Live, q.Held, err = p.workers.Standing(ctx, w)
	var corrupt *storage.CorruptError
	if err != nil && !errors.As(err, &corrupt) { // of a damaged one there is what can be read
		return ledger.Page{}, err
	}
	page, err := p.ledgers.Page(ctx, q)
	if err != nil {
		return page, err
	}
	return page, p.redactCalls(ctx, w.Component, page.Calls)
}

// startOfCalls is the worker to begin with, and below which entry.
func (p *Platform) startOfCalls(f api.CallFilter, cursor string) (w id.Worker, below oplog.Index, err error) {
	if f.Worker != "" {
		if w, err = workerOf(f.Component, f.Worker); err != nil {
			return w, 0, err
		}
	}
	if cursor != "" {
		was, below, ok := readCallCursor(cursor)
		if !ok || f.Worker != "" && was != w || f.Component != "" && was.Component != f.Component {
			return w, 0, api.NewProblem(api.CodeInvalid, "the cursor is not one that a list of these calls has given")
		}
		return was, below, nil
	}
	if f.Worker == "" {
		w, err = p.nextWithCalls(context.Background(), f, id.Worker{Component: f.Component})
	}
	return w, 0, err
}

// nextWithCalls is the worker behind after that may have calls which the filter
// chooses; one without a name if there is none.
func (p *Platform) nextWithCalls(ctx context.Context, f api.CallFilter, after id.Worker) (id.Worker, error) {
	if f.State == api.CallHeld {
		for _, w := range p.workers.Held(after, 1) {
			if f.Component == "" || w.Component == f.Component {
				return w, nil
			}
		}
		return id.Worker{}, nil
	}
	for w, err := range p.node.store.Logs().Workers(ctx, after) {
		switch {
		case err != nil:
			return w, err
		case f.Component != "" && w.Component > f.Component:
			return id.Worker{}, nil
		case f.Component != "" && w.Component != f.Component, w == agenda.Worker, w.Component == runComponent, w == after:
			continue
		}
		return w, nil
	}
	return id.Worker{}, nil
}

// callCursor is where a list of calls goes on.
func callCursor(w id.Worker, below oplog.Index) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%s:%d", w, below))
}

func readCallCursor(cursor string) (w id.Worker, below oplog.Index, ok bool) {
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	name, index, ok := strings.Cut(string(text), ":")
	if err != nil || !ok {
		return w, 0, false
	}
	if below, err = strconv.ParseUint(index, 10, 64); err != nil {
		return w, 0, false
	}
	w, err = id.ParseWorker(name)
	return w, below, err == nil
}

// Call tells all of one external call of a worker, named by the index of the oplog
// entry with its intent.
func (p *Platform) Call(ctx context.Context, component, name string, index uint64) (api.ExternalCall, error) {
	w, err := workerOf(component, name)
	if err != nil {
		return api.ExternalCall{}, err
	}
	live, held, err := p.workers.Standing(ctx, w)
	var corrupt *storage.CorruptError
	if err != nil && !errors.As(err, &corrupt) {
		return api.ExternalCall{}, err
	}
	v, err := p.ledgers.Call(ctx, w, index, ledger.Standing{Live: live, Held: held})
	if err == nil && v == nil {
		err = p.noCall(ctx, w, index)
	}
	if err != nil {
		return api.ExternalCall{}, err
	}
	list := []api.ExternalCall{*v}
	return list[0], p.redactCalls(ctx, component, list)
}

// CallStack gives where in the program an external call was made: it runs the worker
// again, beside whatever that does, from what was saved of it last before the call.
func (p *Platform) CallStack(ctx context.Context, component, name string, index uint64) (api.CallStack, error) {
	if _, err := p.Call(ctx, component, name, index); err != nil {
		return api.CallStack{}, err
	}
	stack, err := p.workers.Stack(ctx, id.Worker{Component: component, Name: name}, index)
	if err != nil {
		return api.CallStack{}, unreadable(err)
	}
	return api.CallStack{Functions: append([]string{}, stack...)}, nil // null is no list
}

// noCall says why there is no call to be told of.
func (p *Platform) noCall(ctx context.Context, w id.Worker, index uint64) error {
	if first, _, err := p.node.store.Logs().Bounds(ctx, w); err != nil || index < first {
		return errors.Join(err, api.NewProblem(api.CodeExpired, fmt.Sprintf("entry %d of %s is not kept any more", index, w)))
	}
	return api.NewProblem(api.CodeNoCall, fmt.Sprintf("entry %d of %s is the intent of no external call; `waterbear calls %s` shows those there are", index, w, w))
}

// ResolveCall takes what a person says of a call that is held. It is durable when
// ResolveCall returns, and takes effect once.
func (p *Platform) ResolveCall(ctx context.Context, component, name string, index uint64, said api.Resolve) error {
	w, err := workerOf(component, name)
	if err != nil {
		return err
	}
	entry := oplog.CallResolved{Started: index, Response: oplog.Opaque{}}
	switch said.How {
	case api.ResolveDone:
		entry.How = oplog.CallDone
	case api.ResolveSendAgain:
		entry.How = oplog.CallSendAgain
	case api.ResolveFail:
		entry.How = oplog.CallFail
	default:
		return api.NewProblem(api.CodeInvalid, fmt.Sprintf("a call is resolved as %s, %s or %s, not as %q", api.ResolveDone, api.ResolveSendAgain, api.ResolveFail, said.How))
	}
	if (said.How == api.ResolveDone) != (len(said.Response) > 0) {
		return api.NewProblem(api.CodeInvalid, "a response is given for a call that is done, and for no other")
	}
	if said.How == api.ResolveDone {
		given, err := p.ledgers.Given(ctx, w, index, said.Response)
		if err != nil {
			return err
		}
		if given == nil {
			return p.noCall(ctx, w, index)
		}
		entry.Response = given
	}
	return p.workers.Resolve(ctx, w, entry)
}
