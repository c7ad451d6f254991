package oplog

import (
	"context"
	"errors"
	"testing"

	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/sched"
	"github.com/waterbear-run/waterbear/internal/storage/memory"
)

func TestFollowersAreWokenByTheirOwnOplogAlone(t *testing.T) {
	ctx := context.Background()
	c, err := NewCommitter(ctx, sched.NewGoroutines(), memory.New().Logs(), 0)
	if err != nil {
		t.Fatal(err)
	}
	hers, his := c.NewWriter(alice, 0), c.NewWriter(id.Worker{Component: "shop", Name: "bob"}, 0)
	f := hers.Follow()
	looked := make(chan struct{}, 100)
	told := make(chan error, 1)
	wait := func(index Index) {
		go func() {
			told <- f.Beyond(ctx, index, func() bool {
				looked <- struct{}{}
				return false
			})
		}()
		<-looked // at once
		<-looked // and once it waits
	}
	wait(0)
	if _, err := his.Append(ctx, &Log{Stream: Stdout}); err != nil {
		t.Fatal(err)
	}
	if err := his.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	select {
	case <-looked:
		t.Error("it looked after a flush that has nothing of its oplog")
	case err := <-told:
		t.Errorf("it returned %v", err)
	default:
	}
	if _, err := hers.Append(ctx, &Log{Stream: Stdout}); err != nil {
		t.Fatal(err)
	}
	if err := hers.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	if err := <-told; err != nil {
		t.Fatal(err)
	}
	wait(1)
	hers.Poke()
	<-looked
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-told; !errors.Is(err, ErrClosed) {
		t.Errorf("got %v", err)
	}
	f.Close()
	if len(c.followed) != 0 || hers.moved.Load() != nil {
		t.Error("something is left of a follower that is closed")
	}
	hers.Poke()
}
