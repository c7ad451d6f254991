package server

import (
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// SetPace makes streams faster than people need them.
func (s *Server) SetPace(heartbeat, writeWait time.Duration) {
	s.heartbeat, s.writeWait = heartbeat, writeWait
}

// SetBodyWait makes the server less patient with clients that send.
func (s *Server) SetBodyWait(wait time.Duration) { s.bodyWait = wait }

// SetHeaderWait makes it so with those that begin to.
func (s *Server) SetHeaderWait(wait time.Duration) { s.headerWait = wait }

// Document is what the OpenAPI document is made from.
func (s *Server) Document() *huma.OpenAPI { return s.api.OpenAPI() }

// Operations are the ids of all declared operations.
func Operations() []string {
	var ids []string
	for id := range operations {
		ids = append(ids, id)
	}
	return ids
}

// These are limits that tests reach.
const (
	MaxDeploys            = maxDeploys
	MaxFilled             = maxFilled
	MaxPageBytes          = maxPageBytes
	ConnectionsPerRequest = connectionsPerRequest
)

// InvocationJSON is for its test alone.
var InvocationJSON = invocationJSON
