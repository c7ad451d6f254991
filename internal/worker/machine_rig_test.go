package worker

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/waterbear-run/waterbear/internal/agenda"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
)

// rig is a machine without a worker: what the machine wants recorded goes into
// a list of entries, and its jobs end when a test says so.
type rig struct {
	m       machine
	entries []oplog.Entry
	names   map[oplog.Index]string // of invocations
	now     oplog.Time
	actions []string // of the last event, as people read them
	wrong   string   // what a machine must never do, and did
}

// epoch is when the time of a rig begins.
const epoch oplog.Time = 1_000_000_000_000

func newRig(t traits) *rig {
	g := &rig{m: machine{traits: t}, names: map[oplog.Index]string{}, now: epoch}
	g.m.life = oplog.NewLife(id.Worker{Component: "rig", Name: "w"})
	g.append(&oplog.Create{At: epoch, Revision: 1, Ephemeral: t.ephemeral})
	return g
}

// copy is a rig that goes on by itself from here.
func (g *rig) copy() *rig {
	c := *g
	c.entries = slices.Clone(g.entries)
	c.names = map[oplog.Index]string{}
	maps.Copy(c.names, g.names)
	c.m.life = g.fold()
	return &c
}

// fold is the life that the entries tell.
func (g *rig) fold() *oplog.Life {
	life := oplog.NewLife(id.Worker{Component: "rig", Name: "w"})
	for _, e := range g.entries {
		life.Apply(e)
	}
	return life
}

func (g *rig) append(body oplog.Body) oplog.Index {
	e := oplog.Entry{Index: oplog.Index(len(g.entries)) + 1, At: g.now, Body: body}
	g.entries = append(g.entries, e)
	g.m.life.Apply(e)
	return e.Index
}

// restart ends the process: only the entries are left.
func (g *rig) restart() {
	g.m = machine{traits: g.m.traits, life: g.fold()}
	g.do(tick{})
}

func (g *rig) accept(name string, due oplog.Time) {
	if g.m.life.Exited != nil || g.m.life.Stuck != nil || g.m.over != nil {
		g.actions = []string{"refused"}
		return
	}
	body := &oplog.InvocationAccepted{At: g.now, Key: name, Function: "f", Due: due, Queue: g.m.life.Waiting + 1}
	g.names[g.append(body)] = name
	g.do(tick{})
}

// promise lets the attempt under way make a promise.
func (g *rig) promise(name string) {
	g.append(&oplog.PromiseCreated{At: g.now, Promise: name, Accepted: g.m.life.Attempt.Accepted})
	g.do(tick{})
}

// settle settles a promise that is pending.
func (g *rig) settle(name string) {
	p := g.m.life.Promise(name)
	if p == nil || p.Settled != nil {
		g.actions = []string{"refused"}
		return
	}
	g.append(&oplog.PromiseSettled{At: g.now, Promise: name, Value: oplog.Payload("v")})
	g.do(tick{})
}

// do lets the machine take an event, and carries out what it decides.
func (g *rig) do(e event) {
	g.actions = nil
	for actions := g.m.step(g.now, e); len(actions) > 0; actions = g.m.step(g.now, tick{}) {
		if len(g.actions) > 10_000 {
			g.wrong = "there is no end to its actions"
			return
		}
		for _, a := range actions {
			g.perform(a)
		}
	}
	if fold := g.fold(); !reflect.DeepEqual(fold, g.m.life) {
		g.wrong = fmt.Sprintf("its life is %+v, and the entries tell %+v", g.m.life, fold)
	}
}

// resolve is what a person says of a call.
func (g *rig) resolve(call oplog.Index) {
	g.do(resolved{&oplog.CallResolved{Started: call, How: oplog.CallSendAgain}})
}

func (g *rig) perform(a action) {
	switch a := a.(type) {
	case record:
		g.watch(a.body)
		g.actions = append(g.actions, g.text(a.body))
		g.append(a.body)
	case start:
		if g.m.phase != busy || g.m.life.Begun == 0 {
			g.wrong = "it starts a job where nothing has begun"
		}
		if g.m.life.Region != 0 && !g.m.life.Calm && !g.m.calm {
			g.wrong = "it goes on in the middle of an atomic region"
		}
		if len(g.m.life.Held) > 0 {
			g.wrong = "it goes on though calls are held"
		}
		g.actions = append(g.actions, "start")
	case stop:
		g.actions = append(g.actions, "stop: "+a.why.reason)
	case drop:
		g.actions = append(g.actions, "drop")
	case tell:
		g.actions = append(g.actions, "tell: "+a.reason)
	}
}

// enter lets the program under way begin an atomic region, or end the outermost.
func (g *rig) enter(begins bool) {
	g.actions = nil
	switch region := g.m.life.Region; {
	case begins:
		g.append(&oplog.Waypoint{Atomic: true})
	case region != 0:
		g.append(&oplog.AtomicEnd{Begin: region})
	}
}

// watch checks what is about to be recorded.
func (g *rig) watch(body oplog.Body) {
	life := g.m.life
	switch b := body.(type) {
	case *oplog.InvocationStarted:
		if life.Begun != 0 {
			g.wrong = "it begins an attempt while another is under way"
		}
		for _, p := range life.Queue {
			if b.Accepted != 0 && p.Index < b.Accepted && p.Due <= g.now {
				g.wrong = fmt.Sprintf("it begins %s before %s", g.names[b.Accepted], g.names[p.Index])
			}
		}
	case *oplog.CallResolved:
		if !slices.Contains(life.Held, b.Started) {
			g.wrong = "it resolves a call that is not held"
		}
	case *oplog.InvocationFinished:
		g.ends(b.Accepted, b.Queue)
	case *oplog.InvocationCanceled:
		g.ends(b.Accepted, b.Queue)
	case *oplog.InvocationFailed:
		if b.Retry == 0 {
			g.ends(b.Accepted, b.Queue)
		}
	}
}

// ends checks that an invocation ends that had not.
func (g *rig) ends(accepted oplog.Index, queue uint64) {
	left := uint64(len(g.m.life.Queue))
	if accepted != 0 {
		left--
		if g.m.life.Find(accepted) == nil {
			g.wrong = fmt.Sprintf("it ends %s, which has ended", g.names[accepted])
		}
	}
	if queue != left {
		g.wrong = fmt.Sprintf("it records a queue of %d, and there are %d", queue, left)
	}
}

func (g *rig) name(index oplog.Index) string {
	if index == 0 {
		return "initialization"
	}
	return g.names[index]
}

// text is an entry as people read it.
func (g *rig) text(body oplog.Body) string {
	switch b := body.(type) {
	case *oplog.InvocationStarted:
		return fmt.Sprintf("record Started %s, attempt %d", g.name(b.Accepted), b.Attempt)
	case *oplog.InvocationFinished:
		return fmt.Sprintf("record Finished %s: %s", g.name(b.Accepted), b.Result)
	case *oplog.InvocationFailed:
		again := "for good"
		if b.Retry != 0 {
			again = "again at " + since(b.Retry)
		}
		return fmt.Sprintf("record Failed %s, attempt %d, %s: %s; %s", g.name(b.Accepted), b.Attempt, b.Code, b.Reason, again)
	case *oplog.InvocationCanceled:
		return "record Canceled " + g.name(b.Accepted)
	case *oplog.Jump:
		again := ""
		if b.Retry != 0 {
			again = "; again at " + since(b.Retry)
		}
		return fmt.Sprintf("record Jump to %d, %s: %s%s", b.From-1, b.Code, b.Reason, again)
	case *oplog.CallHeld:
		return fmt.Sprintf("record CallHeld %d", b.Started)
	case *oplog.CallResolved:
		return fmt.Sprintf("record CallResolved %d, %s", b.Started, b.How)
	case *oplog.Suspended:
		text := "record Suspended"
		if b.For != "" {
			text += " for " + strings.Join(append([]string{b.For}, b.Promises...), " ")
		}
		if b.Until != 0 {
			text += " until " + since(b.Until)
		}
		return text
	case *oplog.Interrupted:
		return "record Interrupted: " + b.Reason
	case *oplog.Stuck:
		return "record Stuck: " + b.Reason
	case *oplog.Exited:
		return fmt.Sprintf("record Exited %d", b.Code)
	}
	return "record " + oplog.Name(body)
}

// since is a time of a rig as people read it.
func since(t oplog.Time) string { return time.Duration(t - epoch).String() }

// state says where the machine is after an event.
func (g *rig) state() string {
	s := [...]string{"absent", "ready", "busy"}[g.m.phase]
	if why := g.m.blocked(); why != "" {
		s += ", blocked: " + why
	}
	switch at := g.m.wake(g.now); {
	case at == 0:
	case at == soon:
		s += ", wakes at once"
	case at == agenda.Never:
		s += ", waits for a person"
	default:
		s += ", wakes at " + since(at)
	}
	var queue []string
	for _, p := range g.m.life.Queue {
		queue = append(queue, g.names[p.Index])
	}
	if len(queue) > 0 {
		s += ", queue: " + strings.Join(queue, " ")
	}
	return s
}
