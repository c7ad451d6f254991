package server_test

import (
	"encoding/json"
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/server"
)

func TestInvocationsAreWrittenAsAnyJSON(t *testing.T) {
	ended := epoch.Add(time.Millisecond)
	finished := api.Invocation{
		Worker: "shop/alice", Key: "k-1", Function: "acme:shop/cart.add", Args: []byte(`[1, "a b"]`), State: api.StateFinished, Index: 3,
		Accepted: epoch, Attempts: 1, Ended: &ended, Result: []byte("[\n2\n]"), From: 4, To: 5,
	}
	// samples has values of every type that a field has.
	samples := map[reflect.Type][]any{}
	for _, v := range []any{
		"", "plain ~", `"`, `\`, "<", ">", "&", "é", "\u2028", "\xff", "\x00", "\x7f",
		api.InvocationState(""), api.StateFailed, api.InvocationState("<"),
		uint64(0), uint64(math.MaxUint64),
		json.RawMessage(nil), json.RawMessage(""), json.RawMessage("null"), json.RawMessage(`"<"`), json.RawMessage(`">"`), json.RawMessage(`"&"`),
		json.RawMessage("\"\u2028\u2029…\""), json.RawMessage("[1"), json.RawMessage("[] []"), json.RawMessage("\"\xff\""), json.RawMessage(` { "a" : 1.0e5 } `),
		time.Time{},
		epoch.Add(1), epoch.In(time.FixedZone("", 3600)), epoch.AddDate(9999, 0, 0),
		(*time.Time)(nil), new(epoch.Add(time.Hour)), new(epoch.AddDate(9999, 0, 0)),
		(*api.Caller)(nil), &api.Caller{Worker: "shop/bob", Key: "k"},
		(*api.Failure)(nil), &api.Failure{Code: api.FailedTrap, Reason: "unreachable"},
	} {
		samples[reflect.TypeOf(v)] = append(samples[reflect.TypeOf(v)], v)
	}
	for n := range reflect.TypeFor[api.Invocation]().NumField() {
		i := finished
		field := reflect.ValueOf(&i).Elem().Field(n)
		if samples[field.Type()] == nil {
			t.Fatalf("there are no samples of %s", field.Type())
		}
		for _, v := range samples[field.Type()] {
			field.Set(reflect.ValueOf(v))
			want, wrong := json.Marshal(i)
			got, err := server.InvocationJSON(i)
			if string(got) != string(want) || (err == nil) != (wrong == nil) {
				t.Errorf("got %s, %v\nwant %s, %v", got, err, want, wrong)
			}
		}
	}
}
