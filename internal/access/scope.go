package access

import (
	"fmt"
	"slices"
	"strings"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/id"
)

// Action is something that takes a scope. Its text completes "may not".
type Action string

// The actions.
const (
	ManageTokens    Action = "manage tokens"
	LookAtNode      Action = "look at the whole node" // figures, metrics
	LookAtComponent Action = "look at the component"  // its revisions, exports, settings
	LookAtWorkers   Action = "look at workers"        // state, results, logs, oplogs, files; export
	Deploy          Action = "deploy"
	Configure       Action = "change settings" // of a component
	DeleteComponent Action = "delete the component"
	DeleteWorkers   Action = "delete workers"
	Invoke          Action = "invoke or cancel"
	CreateWorkers   Action = "create workers"
	ControlWorkers  Action = "interrupt, resume or retry workers"
	LookAtRoutes    Action = "look at routes"
	ChangeRoutes    Action = "change routes"
)

// The kinds of scopes.
const (
	scopeAdmin  = "admin"
	scopeDeploy = "deploy"
	scopeInvoke = "invoke"
	scopeRead   = "read"
)

const validScopes = `valid scopes are "admin", "deploy", "invoke" and "read", the last three also for one component, as in "invoke:shop"`

// allowed lists the kinds of scopes that allow each action, besides admin,
// which allows all. Who deploys or invokes sees the component, for that is how
// to do it right. Deleting takes what cannot be had again: it is for those who
// answer for the component, not for all who call it.
var allowed = map[Action][]string{
	ManageTokens:    {},
	LookAtNode:      {scopeRead},
	LookAtComponent: {scopeRead, scopeDeploy, scopeInvoke},
	LookAtWorkers:   {scopeRead, scopeInvoke},
	Deploy:          {scopeDeploy},
	Configure:       {scopeDeploy},
	DeleteComponent: {scopeDeploy},
	DeleteWorkers:   {scopeDeploy},
	Invoke:          {scopeInvoke},
	CreateWorkers:   {scopeInvoke},
	ControlWorkers:  {scopeInvoke},
	// A route can stand before those of any other component, so it is for those who
	// answer for all of them.
	LookAtRoutes: {scopeRead, scopeDeploy},
	ChangeRoutes: {scopeDeploy},
}

// Need is what a request needs to be allowed: an action on a component, or on
// all of them where that is "". A scope for one component is not enough for all.
type Need struct {
	Action    Action
	Component string
}

// Allows reports whether the token's scopes allow what is needed.
func Allows(t api.Token, need Need) bool {
	return slices.ContainsFunc(t.Scopes, func(s api.Scope) bool {
		kind, component, limited := strings.Cut(string(s), ":")
		switch {
		case kind == scopeAdmin:
			return !limited
		case limited && (component == "" || component != need.Component):
			return false
		}
		return slices.Contains(allowed[need.Action], kind)
	})
}

// Check says that the token's scopes do not allow what is needed, and which
// would, or nil.
func Check(t api.Token, need Need) error {
	if Allows(t, need) {
		return nil
	}
	scopes := []string{scopeAdmin}
	for _, kind := range allowed[need.Action] {
		scopes = append(scopes, kind)
		if need.Component != "" {
			scopes = append(scopes, kind+":"+need.Component)
		}
	}
	where := ""
	if need.Component != "" {
		where = fmt.Sprintf(" (component %s)", need.Component)
	}
	return api.NewProblem(api.CodeForbidden, fmt.Sprintf("the token %s may not %s%s: it would need one of the scopes %s", t.Name, need.Action, where, strings.Join(scopes, ", ")))
}

// checkScope says why there is no such scope, or nil.
func checkScope(s api.Scope) error {
	kind, component, limited := strings.Cut(string(s), ":")
	known := kind == scopeDeploy || kind == scopeInvoke || kind == scopeRead || kind == scopeAdmin && !limited
	if !known {
		return fmt.Errorf("there is no scope %.100q; %s", string(s), validScopes)
	}
	if limited {
		if err := id.CheckName(component); err != nil {
			return fmt.Errorf("scope %.100q: component %w", string(s), err)
		}
	}
	return nil
}
