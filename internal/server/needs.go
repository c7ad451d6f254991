package server

import (
	"slices"
	"strings"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/access"
)

// extent is what a token must allow an action on.
type extent int

const (
	anybody      extent = iota // needs no token
	wholeNode                  // on all there is
	oneComponent               // on the component in the path
	listed                     // on some component; the operation shows those alone
)

// need is what a token must allow for an operation.
type need struct {
	action access.Action
	of     extent
}

// String says it for a person.
func (n need) String() string {
	switch n.of {
	case anybody:
		return "nothing"
	case wholeNode:
		return string(n.action)
	default:
		return string(n.action) + ", for this component or for all"
	}
}

// check says why a token does not allow what n says, on the component, if that is
// one of the request's.
func (n need) check(t api.Token, component string) error {
	if n.of == listed && component == "" {
		if all, some := n.allowed(t); all || len(some) > 0 {
			return nil
		}
	}
	return access.Check(t, access.Need{Action: n.action, Component: component})
}

// allowed are the components that a token allows the action on: all, or some,
// in order.
func (n need) allowed(t api.Token) (all bool, some []string) {
	if access.Allows(t, access.Need{Action: n.action}) {
		return true, nil
	}
	for _, scope := range t.Scopes {
		_, only, limited := strings.Cut(string(scope), ":")
		if limited && only != "" && access.Allows(t, access.Need{Action: n.action, Component: only}) {
			some = append(some, only)
		}
	}
	slices.Sort(some)
	return false, slices.Compact(some)
}
