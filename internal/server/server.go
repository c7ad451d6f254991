// Package server is the REST interface of a node: paths, bodies, tokens, limits
// on what a client can ask for, streams of events, metrics, and the OpenAPI
// document of it all, generated from the code. It hides HTTP from the platform
// and the platform's inside from HTTP.
package server
