package worker_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/guests"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
)

// shops is a platform with the components pricing and orders.
func shops(t *testing.T, links map[string]string) *platform {
	t.Helper()
	p := newPlatform(t, leaving)
	p.deploy("orders", guests.Wasm(t, "shop/orders"))
	p.deploy("pricing", guests.Wasm(t, "shop/pricing"))
	p.link(links)
	return p
}

func (p *platform) link(links map[string]string) {
	p.t.Helper()
	_, err := p.catalog.Configure(p.t.Context(), "orders", api.Settings{Links: links})
	must(p.t, err)
}

const pricingAPI = "shop:pricing/api"

func TestAComponentCallsTheInterfaceOfAnother(t *testing.T) {
	p := shops(t, map[string]string{pricingAPI: "pricing/{name}"})
	alice, bob := id.Worker{Component: "orders", Name: "alice"}, id.Worker{Component: "orders", Name: "bob"}
	for name, cents := range map[string]int{"alice": 300, "bob": 400, "wholesale": 200} {
		p.want(id.Worker{Component: "pricing", Name: name}, "[]", "api.set-price", "tea", cents)
	}
	p.want(alice, `[{"ok":600}]`, "order", "tea", 2)
	p.want(alice, `[{"error":"milk is not sold"}]`, "order", "milk", 1)
	p.want(bob, `[{"ok":400}]`, "order", "tea", 1)
	p.want(alice, `[{"ok":200}]`, "order-from", "wholesale", "tea", 1)
	p.want(alice, `[{"ok":400}]`, "order-from", "pricing/bob", "tea", 1)
	p.want(alice, `[{"ok":300}]`, "order", "tea", 1) // the choice was for one invocation
	p.want(alice, `["mine 1500, theirs 400"]`, "compare", "orders/bob")
	p.want(alice, `["mine 1500, and theirs is not known: there is no component \"nobody\"; deploy it first: waterbear deploy FILE.wasm --name nobody"]`, "compare", "nobody/bob")
	p.want(alice, `[800]`, "everybody", []string{"orders/bob", "orders/bob"}, "tea")
	p.restart()
	p.want(alice, "[1500]", "total")
	v, err := p.invoke(id.Worker{Component: "pricing", Name: "alice"}, "api.price", "tea")
	must(t, err)
	if want := `[{"item":"tea","cents":300,"asked":3}]`; string(v.Result) != want {
		t.Errorf("pricing/alice was asked %s, want %s", v.Result, want)
	}
	// A name of one's own, and a fixed one.
	p.link(map[string]string{pricingAPI: "pricing/wholesale"})
	p.want(bob, `[{"ok":200}]`, "order", "tea", 1)
	p.link(map[string]string{pricingAPI: "pricing"})
	p.want(bob, `[{"ok":400}]`, "order", "tea", 1)
}

func TestWhatLinksDoNotAllowIsRefused(t *testing.T) {
	p := shops(t, nil)
	alice := id.Worker{Component: "orders", Name: "alice"}
	_, err := p.invoke(alice, "total")
	p.refused(err, api.CodeNoLink)
	if !strings.Contains(err.Error(), "--link shop:pricing/api=COMPONENT") {
		t.Errorf("got %v", err)
	}
	for link, want := range map[string]api.Code{"kit": api.CodeBadProgram, "pricing/a b": api.CodeInvalid, "": api.CodeInvalid} {
		_, err := p.catalog.Configure(t.Context(), "orders", api.Settings{Links: map[string]string{pricingAPI: link}})
		p.refused(err, want)
	}
	for _, name := range []string{"api", "shop:pricing/api@1.0.0", "shop:pricing"} {
		_, err := p.catalog.Configure(t.Context(), "orders", api.Settings{Links: map[string]string{name: "pricing"}})
		p.refused(err, api.CodeInvalid)
	}
	many := map[string]string{}
	for i := range 65 {
		many["shop:pricing/api"+strings.Repeat("x", i)] = "pricing"
	}
	_, err = p.catalog.Configure(t.Context(), "orders", api.Settings{Links: many})
	p.refused(err, api.CodeInvalid)
	_, err = p.catalog.Deploy(t.Context(), "hosted", guests.Wasm(t, "kit/c-hosted"), nil)
	p.refused(err, api.CodeBadProgram)
	if !strings.Contains(err.Error(), "a resource cannot go from one worker to another") {
		t.Errorf("got %v", err)
	}
	// A component that is not there yet may come; one that fails is a fault of its
	// caller, which imported functions that cannot.
	p.link(map[string]string{pricingAPI: "later"})
	v, err := p.invoke(alice, "order", "tea", 1)
	must(t, err)
	if v.Failure == nil || v.Failure.Code != api.FailedTrap || !strings.Contains(v.Failure.Reason, `call of price of later/alice: there is no component "later"`) {
		t.Errorf("got %s %+v", v.State, v.Failure)
	}
	p.deploy("later", guests.Wasm(t, "shop/pricing"))
	p.want(alice, `[{"error":"tea is not sold"}]`, "order", "tea", 1)
	r, err := p.catalog.Revision(t.Context(), "orders", 0)
	must(t, err)
	if !slices.Equal(r.Calls, []string{pricingAPI}) {
		t.Errorf("it calls %q", r.Calls)
	}
}

// TestALinkThatChangesChangesNothingThatHasHappened replays calls whose link leads
// elsewhere now.
func TestALinkThatChangesChangesNothingThatHasHappened(t *testing.T) {
	p := shops(t, map[string]string{pricingAPI: "pricing/a"})
	p.want(id.Worker{Component: "pricing", Name: "a"}, "[]", "api.set-price", "tea", 100)
	w := id.Worker{Component: "orders", Name: "alice"}
	p.want(w, `[{"ok":100}]`, "order", "tea", 1)
	p.link(map[string]string{pricingAPI: "pricing/b"})
	p.restart()
	p.want(w, "[100]", "total")
	called := 0
	for e, err := range oplog.Read(t.Context(), p.store.Logs(), id.Worker{Component: "pricing", Name: "a"}, 1, 0) {
		must(t, err)
		if a, ok := e.Body.(*oplog.InvocationAccepted); ok && a.Caller.Worker == w.String() {
			called++
		}
	}
	if called != 1 {
		t.Errorf("pricing/a was called %d times", called)
	}
}
