// Package server is the REST interface of a node: paths, bodies, tokens, limits
// on what a client can ask for, streams of events, metrics, and the OpenAPI
// document of it all, generated from the code. It hides HTTP from the platform
// and the platform's inside from HTTP.
package server

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// The limits of a Config that leaves them out.
const (
	DefaultMaxBody   = 1 << 20
	DefaultMaxModule = 256 << 20
	// MaxFiles is the longest body that creates a worker, with its initial files
	// in Base64, if MaxBody is not longer.
	MaxFiles           = 64 << 20
	DefaultMaxRequests = 10_000
	DefaultTimeout     = time.Minute
)

// What a client may take its time for. What it sends and does not read is
// bounded, and so must be how long it takes.
const (
	headerWait = 10 * time.Second // to send a request's header, or to shake hands
	bodyWait   = 30 * time.Second // to send a JSON body
	uploadWait = 10 * time.Minute // to send a module, or initial files
	writeWait  = 15 * time.Second // to take a piece of an answer that is a stream
	idleWait   = 2 * time.Minute  // between two requests
	heartbeat  = 15 * time.Second // between signs of life on a stream of events
	lastWait   = 2 * time.Second  // to take answers when Grace is over
)

const (
	maxHeader  = 64 << 10 // bytes of a request's header
	maxDeploys = 4        // under way at once: each may hold a whole module
	maxFilled  = 4        // workers that are created with a body over MaxBody
	// connectionsPerRequest is how many connections there may be for each request
	// that may be under way: clients keep some open that they do not use.
	connectionsPerRequest = 2
)

// errStopping is the cause of contexts that end because the server stops.
var errStopping = errors.New("the server is stopping")

// Config is what a Server is made of.
type Config struct {
	Platform Platform
	Auth     bool         // a token is required
	Log      *slog.Logger // nil: nothing is logged
	// AccessLog has a line for each request but those that fail by the server's
	// fault, whose lines are in Log; nil: Log has all.
	AccessLog *slog.Logger
	Version   string // of the program, for people
	// Hosts are names by which clients may reach a server without Auth, besides
	// localhost and IP addresses. Others are refused: a web page can make its own
	// name point here, and its visitors' browsers then think the page may speak
	// to us.
	Hosts       []string
	MaxBody     int64 // bytes of arguments and other JSON; 0: DefaultMaxBody
	MaxModule   int64 // bytes of a module; 0: DefaultMaxModule
	MaxRequests int   // under way at once; 0: DefaultMaxRequests
	// Timeout is the longest that a client waits for an answer; 0:
	// DefaultTimeout. A client may ask for less.
	Timeout time.Duration
	Grace   time.Duration // that requests have to end in when Serve is to
	Public  *Public       // what Serve serves besides; nil: nothing
}

// Server is the REST interface. It serves one Platform.
type Server struct {
	config  Config
	api     huma.API
	mux     *http.ServeMux
	metrics *metrics
	// handlers serve operations in place of huma, by operation.
	handlers map[string]handler
	document document

	started  time.Time
	requests atomic.Uint64 // so far, for their ids
	underWay atomic.Int64
	deploys  chan struct{} // holds one per deployment under way
	filled   chan struct{} // holds one per creation with a long body
	cross    *http.CrossOriginProtection

	// stopping ends when Serve is to return: streams end then.
	stopping context.Context
	stop     context.CancelCauseFunc

	// Tests make these short.
	heartbeat, writeWait, bodyWait, headerWait time.Duration
}

// New makes a server.
func New(c Config) (*Server, error) {
	if c.Platform == nil {
		return nil, errors.New("make a REST server: it has no platform to serve")
	}
	if c.MaxBody < 0 || c.MaxModule < 0 || c.MaxRequests < 0 || c.Timeout < 0 || c.Grace < 0 {
		return nil, errors.New("make a REST server: its limits must not be negative: leave out a limit to have the default")
	}
	c.Log = orElse(c.Log, slog.New(slog.DiscardHandler))
	c.AccessLog = orElse(c.AccessLog, c.Log)
	c.MaxBody = orElse(c.MaxBody, DefaultMaxBody)
	c.MaxModule = orElse(c.MaxModule, DefaultMaxModule)
	c.MaxRequests = orElse(c.MaxRequests, DefaultMaxRequests)
	c.Timeout = orElse(c.Timeout, DefaultTimeout)
	s := &Server{
		config: c, mux: http.NewServeMux(), metrics: newMetrics(c.Platform),
		started: time.Now(), deploys: make(chan struct{}, maxDeploys), filled: make(chan struct{}, maxFilled),
		cross: http.NewCrossOriginProtection(), heartbeat: heartbeat, writeWait: writeWait, bodyWait: bodyWait, headerWait: headerWait,
	}
	s.stopping, s.stop = context.WithCancelCause(context.Background())
	s.register()
	return s, nil
}

// orElse is v, or other if v is the zero value.
func orElse[T comparable](v, other T) T {
	var zero T
	if v == zero {
		return other
	}
	return v
}

// Handler serves requests; streams are not told when the program stops, as they
// are by Serve.
func (s *Server) Handler() http.Handler { return http.HandlerFunc(s.serve) }

// requestID is the one that the client gave the request, if it is fit to be
// logged, or a new one: unique on this node, since two processes of a node do not
// start at the same nanosecond.
func (s *Server) requestID(given string) string {
	if sane(given) {
		return given
	}
	var b [48]byte
	id := strconv.AppendInt(b[:0], s.started.UnixNano(), 36)
	id = append(id, '-')
	return string(strconv.AppendUint(id, s.requests.Add(1), 36))
}

// maxRequestID is the longest request id that a client can choose.
const maxRequestID = 64

func sane(id string) bool {
	for i := range len(id) {
		c := id[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.') {
			return false
		}
	}
	return id != "" && len(id) <= maxRequestID
}
