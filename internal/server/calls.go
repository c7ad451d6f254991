package server

import (
	"context"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/id"
)

// OfCall is what operations on an external call take.
type OfCall struct {
	OfWorker
	Index uint64 `path:"index" minimum:"1" doc:"Of the oplog entry with its intent" example:"17"`
}

func (s *Server) addCalls() {
	add(s, "list-calls", s.listCalls)
	add(s, "get-call", func(ctx context.Context, _ *exchange, in *OfCall) (*body[api.ExternalCall], error) {
		v, err := s.config.Platform.Call(ctx, in.Component, in.Worker, in.Index)
		return &body[api.ExternalCall]{v}, err
	})
	add(s, "get-call-stack", func(ctx context.Context, _ *exchange, in *OfCall) (*body[api.CallStack], error) {
		v, err := s.config.Platform.CallStack(ctx, in.Component, in.Worker, in.Index)
		return &body[api.CallStack]{v}, err
	})
	add(s, "resolve-call", func(ctx context.Context, _ *exchange, in *struct {
		OfCall
		Body api.Resolve
	},
	) (*none, error) {
		return nil, s.config.Platform.ResolveCall(ctx, in.Component, in.Worker, in.Index, in.Body)
	})
}

// callQuery is a CallFilter and a place in the list, as query parameters.
type callQuery struct {
	Component string        `query:"component" maxLength:"128" doc:"Of workers of this component"`
	Worker    string        `query:"worker" maxLength:"128" doc:"Of this worker of the component"`
	State     api.CallState `query:"state" enum:"under-way,done,not-sent,in-doubt,held,failed"`
	Reads     bool          `query:"reads" doc:"With those that only ask or wait, such as for a time"`
	Cursor    string        `query:"cursor" maxLength:"2048" doc:"The next of the page before"`
	Limit     int           `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"Of calls in a page"`
}

// listCalls shows a token the calls of the components that it may look at, as
// listWorkers does.
func (s *Server) listCalls(ctx context.Context, x *exchange, q *callQuery) (*body[api.CallPage], error) {
	f := api.CallFilter{Component: q.Component, Worker: q.Worker, State: q.State, Reads: q.Reads}
	if f.Component != "" {
		if err := id.CheckName(f.Component); err != nil {
			return nil, invalid("query.component", "%v", err)
		}
	}
	if f.Worker != "" && f.Component == "" {
		return nil, invalid("query.worker", "say of which component it is")
	}
	cursor, after := q.Cursor, func(next string) string { return next }
	if s.config.Auth && f.Component == "" {
		if all, some := x.route.needs.allowed(x.token); !all {
			var err error
			if f.Component, cursor, err = readTurn(some, q.Cursor); err != nil {
				return nil, err
			}
			after = func(next string) string { return turn(some, f.Component, next) }
		}
	} else if s.config.Auth {
		if err := x.route.needs.check(x.token, f.Component); err != nil {
			return nil, err
		}
	}
	p, err := s.config.Platform.Calls(ctx, f, cursor, q.Limit)
	if err != nil {
		return nil, err
	}
	if p.Next = after(p.Next); p.Items == nil {
		p.Items = []api.ExternalCall{} // null is no list
	}
	return &body[api.CallPage]{p}, nil
}
