package access_test

import (
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/access"
)

// TestScopesAllowWhatTheySay is the whole table: which kinds of scopes allow
// each action, and that one for a component allows nothing of another or of all.
func TestScopesAllowWhatTheySay(t *testing.T) {
	actions := []access.Action{
		access.ManageTokens, access.LookAtNode, access.LookAtComponent, access.LookAtWorkers, access.Deploy,
		access.Configure, access.DeleteComponent, access.DeleteWorkers, access.Invoke, access.CreateWorkers, access.ControlWorkers,
	}
	allows := map[string]string{ // a letter for each action, in that order
		"admin":  "TNCWdsDXicp",
		"deploy": "..C.dsDX...",
		"invoke": "..CW....icp",
		"read":   ".NCW.......",
	}
	for kind, letters := range allows {
		if len(letters) != len(actions) {
			t.Fatalf("%s has %d letters for %d actions", kind, len(letters), len(actions))
		}
		for i, action := range actions {
			yes := letters[i] != '.'
			for _, c := range []struct {
				scope, component string
				want             bool
			}{
				{kind, "", yes},
				{kind, "shop", yes},
				{kind + ":shop", "shop", yes && kind != "admin"},
				{kind + ":shop", "shop2", false},
				{kind + ":shop", "sho", false},
				{kind + ":shop", "Shop", false},
				{kind + ":shop", "", false},
				{kind + ":", "", false},
				{kind + ":", "shop", false},
				{kind + ":*", "shop", false},
			} {
				token := api.Token{Name: "t", Scopes: []api.Scope{api.Scope(c.scope)}}
				need := access.Need{Action: action, Component: c.component}
				if got := access.Allows(token, need); got != c.want {
					t.Errorf("%s allows %q on %q: %t, want %t", c.scope, action, c.component, got, c.want)
				}
				if err := access.Check(token, need); (err == nil) != c.want || err != nil && codeOf(err) != api.CodeForbidden {
					t.Errorf("%s, %q on %q: checked %v", c.scope, action, c.component, err)
				}
			}
		}
	}
}

func TestEachScopeOfATokenCounts(t *testing.T) {
	token := api.Token{Scopes: []api.Scope{"unknown", "read:a", "invoke:b"}}
	for component, want := range map[string]bool{"a": false, "b": true, "c": false, "": false} {
		if got := access.Allows(token, access.Need{Action: access.Invoke, Component: component}); got != want {
			t.Errorf("invoking %q: %t, want %t", component, got, want)
		}
	}
	if access.Allows(api.Token{}, access.Need{Action: access.LookAtNode}) {
		t.Error("a token without scopes allows something")
	}
	if access.Allows(token, access.Need{Action: "no such action"}) || access.Allows(token, access.Need{}) {
		t.Error("what is no action is allowed")
	}
}

func TestRefusalSaysWhichScopesWouldDo(t *testing.T) {
	token := api.Token{Name: "ci", Scopes: []api.Scope{"read"}}
	err := access.Check(token, access.Need{Action: access.DeleteWorkers, Component: "shop"})
	if want := "the token ci may not delete workers (component shop): it would need one of the scopes admin, deploy, deploy:shop"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	err = access.Check(token, access.Need{Action: access.ManageTokens})
	if err == nil || !strings.HasSuffix(err.Error(), "may not manage tokens: it would need one of the scopes admin") {
		t.Errorf("got %v", err)
	}
}
