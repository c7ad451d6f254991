package api

import "time"

// Scope is what a token allows: "admin" everything, "deploy" deploying, settings
// and deleting, of components and workers, "read" looking at everything but
// tokens, "invoke" invoking, creating, stopping and looking at workers. "deploy"
// and "invoke" see the component, too. Behind a colon stands the component a
// scope is limited to, as in "invoke:shop"; admin has none.
type Scope string

// NewToken asks for a token.
type NewToken struct {
	Name    string    `json:"name" doc:"For people; unique"`
	Scopes  []Scope   `json:"scopes" minItems:"1"`
	Expires time.Time `json:"expires,omitzero" doc:"Absent: never"`
	// Secret is one that whoever runs the node has chosen; empty: one is made.
	// No request can carry it.
	Secret string `json:"-"`
}

// Token is a token without its secret.
type Token struct {
	Name    string    `json:"name"`
	Scopes  []Scope   `json:"scopes"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires,omitzero"`
}

// CreatedToken has the secret, which is shown once.
type CreatedToken struct {
	Token
	Secret string `json:"secret" doc:"What to send as bearer token"`
}
