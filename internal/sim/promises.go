package sim

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
)

// answer settles some promise of a worker, or one that may be settled.
func (c *client) answer(ctx context.Context, s service, d *dossier) {
	list, err := s.Promises(ctx, d.worker)
	if !c.hears(d, api.Invocation{}, err) || err != nil || len(list) == 0 {
		return
	}
	p := list[c.random.IntN(len(list))]
	for range 1 + c.random.IntN(2) { // perhaps twice
		c.settle(ctx, s, d, p)
	}
}

// settle settles a promise with what a client says, of few.
func (c *client) settle(ctx context.Context, s service, d *dossier, p api.Promise) {
	name, err := id.ParsePromise(p.Promise)
	if err != nil {
		_ = c.world.broken("%s: %w", d.worker, err)
		return
	}
	n := 1 + c.random.IntN(3)
	as := api.Settlement{Value: strconv.AppendInt(nil, int64(n), 10), Failed: c.random.IntN(5) == 0, By: "a client"}
	if c.random.IntN(2) == 0 {
		as.Key = fmt.Sprintf("key-%d", n)
	}
	c.world.note("client %d settles %s with %s, failed %t, key %q", c.number, name, as.Value, as.Failed, as.Key)
	_, err = s.SettlePromise(ctx, name, as)
	if !c.hears(d, api.Invocation{}, err) {
		return
	}
	switch {
	case err == nil:
		if before, again := d.settled[name.Name]; again && (as.Key == "" || !alike(before, as)) {
			_ = c.world.broken("%s: the promise %s was settled with %+v and again with %+v", d.worker, name, before, as)
		}
		d.settled[name.Name] = as
	case isCode(err, api.CodePromiseSettled):
		d.spoken[name.Name] = true
	}
}

func alike(a, b api.Settlement) bool {
	return a.Failed == b.Failed && a.Key == b.Key && bytes.Equal(a.Value, b.Value)
}

// checkPromises compares the oplog with what clients were told of promises.
func (d *dossier) checkPromises() error {
	for _, name := range slices.Sorted(maps.Keys(d.settled)) {
		b, told := d.last.answers[name], d.settled[name]
		if b == nil || !alike(api.Settlement{Failed: b.Failed, Key: b.Key, Value: b.Value}, told) {
			return fmt.Errorf("%s: a client was told that it has settled the promise %s with %+v, and the oplog has %+v", d.worker, name, told, b)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(d.spoken)) {
		if d.last.answers[name] == nil {
			return fmt.Errorf("%s: a client was told that the promise %s was settled, and the oplog does not have that", d.worker, name)
		}
	}
	return nil
}

// promise checks an entry about a promise: each is of one invocation, and
// settled once.
func (a *audit) promise(body oplog.Body) error {
	switch b := body.(type) {
	case *oplog.PromiseCreated:
		if a.begun == nil || a.begun.Accepted != b.Accepted {
			return fmt.Errorf("another invocation is under way, or none")
		}
		if of, again := a.made[b.Promise]; again && of != b.Accepted {
			return fmt.Errorf("the invocation accepted by entry %d has made it", of)
		}
		a.made[b.Promise] = b.Accepted
	case *oplog.PromiseSettled:
		if _, there := a.made[b.Promise]; !there {
			return fmt.Errorf("nobody has made it")
		}
		if before := a.answers[b.Promise]; before != nil {
			return fmt.Errorf("it was settled before: %+v", before)
		}
		kept := *b
		kept.Value = bytes.Clone(b.Value)
		a.answers[b.Promise] = &kept
	}
	return nil
}

// answered checks that an invocation that has waited for a promise gives what
// became of that.
func (a *audit) answered(b *oplog.InvocationFinished, function string) error {
	out, err := integers(b.Result)
	if err != nil || function != "ask" && function != "insist" || first(out) == -2 {
		return err
	}
	var own []*oplog.PromiseSettled
	for _, name := range slices.Sorted(maps.Keys(a.made)) {
		if a.made[name] == b.Accepted && a.answers[name] != nil {
			own = append(own, a.answers[name])
		}
	}
	if len(own) != 1 {
		return fmt.Errorf("it gave %s, and of its promises %d were settled", b.Result, len(own))
	}
	want := string(own[0].Value)
	if own[0].Failed {
		want = "-1"
	}
	if got := strconv.FormatInt(first(out), 10); got != want {
		return fmt.Errorf("it gave %s, and its promise was settled with %s", got, want)
	}
	return nil
}
