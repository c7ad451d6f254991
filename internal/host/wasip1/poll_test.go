package wasip1_test

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/waterbear-run/waterbear/internal/host/ambient"
)

type clockSub struct {
	user     uint64
	id       uint32
	timeout  uint64
	absolute bool
}

type fileSub struct {
	user  uint64
	fd    uint32
	write bool
}

// subscribe encodes subscriptions.
func subscribe(list ...any) (b []byte) {
	for _, s := range list {
		u := make([]byte, 48)
		switch s := s.(type) {
		case clockSub:
			binary.LittleEndian.PutUint64(u, s.user)
			binary.LittleEndian.PutUint32(u[16:], s.id)
			binary.LittleEndian.PutUint64(u[24:], s.timeout)
			if s.absolute {
				u[40] = 1
			}
		case fileSub:
			binary.LittleEndian.PutUint64(u, s.user)
			binary.LittleEndian.PutUint32(u[16:], s.fd)
			u[8] = 1
			if s.write {
				u[8] = 2
			}
		}
		b = append(b, u...)
	}
	return b
}

type event struct {
	user  uint64
	err   errno
	kind  byte
	bytes uint64
	flags uint16
}

func (g *guest) poll(list ...any) []event {
	g.t.Helper()
	in, out, count := g.put(subscribe(list...)), g.room(32*len(list)), g.room(4)
	g.ok("poll_oneoff", in, out, uint64(len(list)), count)
	var events []event
	for i := range uint64(g.u32(count)) {
		e := g.bytes(out+32*i, 32)
		events = append(events, event{
			binary.LittleEndian.Uint64(e), errno(binary.LittleEndian.Uint16(e[8:])), e[10],
			binary.LittleEndian.Uint64(e[16:]), binary.LittleEndian.Uint16(e[24:]),
		})
	}
	return events
}

func TestPollWaitsForWhatComesFirst(t *testing.T) {
	const forever = ambient.Forever
	for _, c := range []struct {
		name   string
		prep   func(g *guest)
		subs   []any
		events []event
		waits  []uint64
	}{
		{
			"a relative sleep", nil,
			[]any{clockSub{7, 1, 1000, false}},
			[]event{{user: 7}},
			[]uint64{2001},
		},
		{
			"a relative sleep on the wall clock", nil,
			[]any{clockSub{7, 0, 1000, false}},
			[]event{{user: 7}},
			[]uint64{2001},
		},
		{
			"an absolute sleep reads no clock", nil,
			[]any{clockSub{7, 1, 5000, true}},
			[]event{{user: 7}},
			[]uint64{5000},
		},
		{
			"an absolute sleep on the wall clock", nil,
			[]any{clockSub{7, 0, 1e18 + 5000, true}},
			[]event{{user: 7}},
			[]uint64{1002 + 5000 - 1001},
		},
		{
			"a moment that has passed", nil,
			[]any{clockSub{7, 0, 5, true}},
			[]event{{user: 7}},
			nil,
		},
		{
			"no time at all", nil,
			[]any{clockSub{7, 1, 0, false}},
			[]event{{user: 7}},
			nil,
		},
		{
			"the earlier of two", nil,
			[]any{clockSub{1, 1, 9000, false}, clockSub{2, 1, 3000, false}},
			[]event{{user: 2}},
			[]uint64{4001},
		},
		{
			"two at once", nil,
			[]any{clockSub{1, 1, 3000, false}, clockSub{2, 0, 3000, false}},
			[]event{{user: 1}, {user: 2}},
			[]uint64{4001},
		},
		{
			"clocks that are not there", nil,
			[]any{clockSub{1, 2, 3000, false}, clockSub{2, 9, 3000, false}},
			[]event{{user: 1, err: notsup}, {user: 2, err: inval}},
			nil,
		},
		{
			"output is always ready", nil,
			[]any{fileSub{1, 1, true}, clockSub{9, 1, 1000, false}, fileSub{2, 2, true}},
			[]event{{user: 1, kind: 2, bytes: 65536}, {user: 2, kind: 2, bytes: 65536}},
			nil,
		},
		{
			"a timer that is due beside what is always ready", nil,
			[]any{fileSub{1, 1, true}, clockSub{9, 1, 500, true}},
			[]event{{user: 1, kind: 2, bytes: 65536}, {user: 9}},
			nil,
		},
		{
			"a file has what is behind its offset", func(g *guest) {
				fd := g.create("f")
				g.write(fd, "0123456789")
				g.ok("fd_seek", fd, 4, 0, g.room(8))
			},
			[]any{fileSub{1, 4, false}, fileSub{2, 4, true}},
			[]event{{user: 1, kind: 1, bytes: 6}, {user: 2, kind: 2, bytes: 65536}},
			nil,
		},
		{
			"what cannot be waited for", func(g *guest) { g.open("f", how{flags: oCreate, base: fdRead}) },
			[]any{fileSub{1, 99, false}, fileSub{2, 3, false}, fileSub{3, 0, true}, fileSub{4, 1, false}, fileSub{5, 4, false}},
			[]event{{1, badf, 1, 0, 0}, {2, isdir, 1, 0, 0}, {3, badf, 2, 0, 0}, {4, badf, 1, 0, 0}, {5, notcapable, 1, 0, 0}},
			nil,
		},
		{
			"input that is there", func(g *guest) { g.stdin = [][]byte{[]byte("line")} },
			[]any{fileSub{1, 0, false}, clockSub{2, 1, 1000, false}},
			[]event{{user: 1, kind: 1, bytes: 4}},
			[]uint64{2001},
		},
		{
			"input that does not come in time", nil,
			[]any{fileSub{1, 0, false}, clockSub{2, 1, 1000, false}},
			[]event{{user: 2}},
			[]uint64{2001},
		},
		{
			"the end of input", func(g *guest) { g.closed = true },
			[]any{fileSub{1, 0, false}},
			[]event{{user: 1, kind: 1, flags: 1}},
			[]uint64{forever},
		},
		{
			"input looked for, not waited for", nil,
			[]any{fileSub{1, 0, false}, fileSub{2, 1, true}},
			[]event{{user: 2, kind: 2, bytes: 65536}},
			[]uint64{0},
		},
		{
			"the end of time", func(g *guest) { g.stdin = [][]byte{[]byte("x")} },
			[]any{clockSub{1, 1, 1<<64 - 1, false}, fileSub{2, 0, false}},
			[]event{{user: 2, kind: 1, bytes: 1}},
			[]uint64{forever - 1},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGuest(t, guestConfig{})
			if c.prep != nil {
				c.prep(g)
			}
			g.now = 1000
			if got := g.poll(c.subs...); !slices.Equal(got, c.events) {
				t.Errorf("got events %+v, want %+v", got, c.events)
			}
			if !slices.Equal(g.waits, c.waits) {
				t.Errorf("waited until %v, want %v", g.waits, c.waits)
			}
		})
	}
}

func TestPollRefusesWhatMakesNoSense(t *testing.T) {
	g := newGuest(t, guestConfig{})
	at := g.room(4096)
	g.wants(inval, "poll_oneoff", at, at, 0, at)
	g.wants(fault, "poll_oneoff", at, at, 1<<32-1, at)
	g.wants(fault, "poll_oneoff", 0, 0, 1<<18/48+1, at)
	g.wants(fault, "poll_oneoff", at, at, 1, 1<<32-4)
	strange := subscribe(clockSub{})
	strange[8] = 3
	g.wants(inval, "poll_oneoff", g.put(strange), at, 1, at)
	// As many as there is memory for, the events over the subscriptions.
	free := uint64(1<<18 - 64*1024)
	copy(g.in.Memory()[free:], slices.Repeat(subscribe(fileSub{1, 1, true}), 1000))
	g.ok("poll_oneoff", free, free, 1000, at)
	g.call("poll_oneoff", free+1, free, 1000, at)
	g.call("poll_oneoff", free, free+7, 1000, at)
}
