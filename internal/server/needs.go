package server

import (
	"strings"

	"github.com/waterbear-run/waterbear/api"
)

// action is what an operation does, as far as tokens are concerned.
type action string

const (
	nothing    action = ""
	administer action = "admin"
	deploy     action = "deploy"
	read       action = "read"
	invoke     action = "invoke"
	look       action = "look" // at components and workers: every scope allows it
)

// extent is what a token must allow an action on.
type extent int

const (
	everything   extent = iota // on the node
	oneComponent               // on the component in the path
	listed                     // on some component; the operation shows those alone
)

// need is what a token must allow for an operation.
type need struct {
	action action
	of     extent
}

// String says it for a person.
func (n need) String() string {
	switch n.of {
	case oneComponent:
		return string(n.action) + " on the component"
	case listed:
		return string(n.action) + " on a component"
	default:
		return string(n.action)
	}
}

// allows reports whether a token allows an action on a component, or on all of
// them if that is "".
func allows(t api.Token, a action, component string) bool {
	for _, scope := range t.Scopes {
		of, only, limited := strings.Cut(string(scope), ":")
		if limited && (component == "" || only != component) {
			continue
		}
		if allowed := action(of); allowed == administer && !limited || allowed == a || a == look {
			return true
		}
	}
	return false
}

// allowedComponents are those that a token allows an action on: all, or some.
func allowedComponents(t api.Token, a action) (all bool, some []string) {
	if allows(t, a, "") {
		return true, nil
	}
	for _, scope := range t.Scopes {
		if _, only, limited := strings.Cut(string(scope), ":"); limited && allows(t, a, only) {
			some = append(some, only)
		}
	}
	return false, some
}
