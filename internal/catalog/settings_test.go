package catalog_test

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/catalog"
)

func TestSettingsWithinTheirBoundsAreAccepted(t *testing.T) {
	most := api.Settings{
		Limits: api.Limits{
			Memory: 4 << 30, Storage: 1 << 44, Shared: 1 << 44, Files: 1 << 20, CPUTime: api.Duration(7 * 24 * time.Hour),
			LogRate: 1 << 40, OplogRate: 1 << 40, Queue: 1_000_000,
		},
		Retry:  api.Retry{Attempts: 1_000_000, Initial: api.Duration(365 * 24 * time.Hour), Max: api.Duration(365 * 24 * time.Hour), Factor: 1000, Jitter: 1},
		Images: api.Images{After: api.Duration(24 * time.Hour)},
		Retention: api.Retention{
			Oplog: api.KeepFor(100 * 365 * 24 * time.Hour), Results: api.KeepInvocations(1 << 40), Logs: api.KeepEverything(),
		},
	}
	least := api.Settings{
		Limits: api.Limits{Memory: 65536, Storage: 1, Shared: 1, Files: 1, CPUTime: api.Duration(time.Millisecond), LogRate: 1, OplogRate: 1, Queue: 1},
		Retry:  api.Retry{Attempts: 1, Initial: api.Duration(time.Millisecond), Max: api.Duration(time.Millisecond), Factor: 1, Jitter: 0.001},
		Images: api.Images{After: api.Duration(time.Millisecond)},
		Retention: api.Retention{
			Oplog: api.KeepFor(time.Minute), Results: api.KeepInvocations(1),
		},
	}
	never := api.Settings{Images: api.Images{After: -1}}
	for _, s := range []api.Settings{{}, least, most, never} {
		if err := catalog.CheckSettings("body", s); err != nil {
			t.Errorf("%+v: %v", s, err)
		}
	}
}

func TestSettingsOutOfTheirBoundsAreRefusedOneByOne(t *testing.T) {
	bad := api.Settings{
		Limits: api.Limits{
			Memory: 4<<30 + 1, Storage: 1<<44 + 1, Shared: 1<<44 + 1, Files: 1<<20 + 1, CPUTime: -1, LogRate: math.MaxUint64, OplogRate: 1<<40 + 1, Queue: 1_000_001,
		},
		Retry:  api.Retry{Attempts: 1_000_001, Initial: api.Duration(366 * 24 * time.Hour), Max: 1, Factor: 0.5, Jitter: 1.1},
		Images: api.Images{After: 1},
		Retention: api.Retention{
			Oplog: api.KeepFor(59 * time.Second), Results: api.KeepInvocations(1<<40 + 1), Logs: api.KeepFor(101 * 365 * 24 * time.Hour),
		},
	}
	err := catalog.CheckSettings("body.settings", bad)
	var p *api.Problem
	if !errors.As(err, &p) || p.Code != api.CodeInvalid {
		t.Fatalf("got %v", err)
	}
	var got []string
	for _, e := range p.Errors {
		got = append(got, strings.TrimPrefix(e.Location, "body.settings."))
	}
	want := "limits.memory limits.storage limits.shared limits.files limits.cpuTime limits.logRate limits.oplogRate limits.queue " +
		"retry.attempts retry.initial retry.max retry.max retry.factor retry.jitter images.after retention.oplog retention.results retention.logs"
	if strings.Join(got, " ") != want {
		t.Errorf("got %s, want %s", strings.Join(got, " "), want)
	}
	if want := "the settings cannot be used: body.settings.limits.memory: 4294967297 is not from 65536 to 4294967296, nor 0 for the default, and 17 more"; p.Detail != want {
		t.Errorf("got %s, want %s", p.Detail, want)
	}
	for _, r := range []api.Retry{{Factor: math.NaN()}, {Factor: math.Inf(1)}, {Jitter: -0.1}, {Factor: -1}} {
		if catalog.CheckSettings("body", api.Settings{Retry: r}) == nil {
			t.Errorf("%+v is accepted", r)
		}
	}
}
