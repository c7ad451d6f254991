package server

import (
	"context"
	"encoding/json"
	"io"
	"iter"
	"net/http"
	"time"

	"github.com/waterbear-run/waterbear/api"
)

// Platform is what the REST interface stands on. Errors are an *api.Problem
// where the caller is at fault or can do something; any other is ours. Names
// are checked by the platform. Its methods may be called by any number of
// goroutines.
type Platform interface {
	// Deploy makes module the newest revision of a component, unless it is that
	// already. progress, which may be nil, is told how far compiling is; it may
	// be called from another goroutine, but not after Deploy has returned.
	Deploy(ctx context.Context, component string, module []byte, progress func(api.Progress)) (api.Deployed, error)
	Components(ctx context.Context) ([]api.Component, error)
	Component(ctx context.Context, component string) (api.Component, error)
	// Revisions lists them, the newest first.
	Revisions(ctx context.Context, component string) ([]api.Revision, error)
	// WIT gives the interface of a revision of a component. That of a core module
	// is CodeNoWIT.
	WIT(ctx context.Context, component string, revision uint64) (string, error)
	// Configure sets a component's settings, all of them.
	Configure(ctx context.Context, component string, s api.Settings) (api.Component, error)
	// DeleteComponent is refused while the component has workers.
	DeleteComponent(ctx context.Context, component string) error

	// CreateWorker makes a worker. If it exists and was created alike, created
	// is false; otherwise that is CodeWorkerExists.
	CreateWorker(ctx context.Context, component, name string, n api.NewWorker) (w api.WorkerDetail, created bool, err error)
	Worker(ctx context.Context, component, name string) (api.WorkerDetail, error)
	// Workers lists up to limit workers behind cursor ("": from the first). A
	// page may have fewer, even none, and still a Next: looking costs time too.
	Workers(ctx context.Context, f api.WorkerFilter, cursor string, limit int) (api.Page[api.Worker], error)
	DeleteWorker(ctx context.Context, component, name string) error
	// Fork makes a copy of a worker that is in no invocation, and gives it.
	Fork(ctx context.Context, component, name, copied string) (api.WorkerDetail, error)
	// Interrupt stops a worker until Resume. Retry lets a Failed or Retrying
	// worker try again at once.
	Interrupt(ctx context.Context, component, name, reason string) error
	Resume(ctx context.Context, component, name string) error
	Retry(ctx context.Context, component, name string) error

	// Invoke makes the worker if it is not there. It returns when the invocation
	// is done or, if it is asynchronous or scheduled, accepted. A failed one is
	// no error: its state says so. When ctx is done first, the invocation goes
	// on, and the error is CodeTimeout with the invocation as it is.
	Invoke(ctx context.Context, component, name string, c api.Call) (api.Invocation, error)
	// Invocation is the one that has this key. With wait it returns when that is
	// done, or CodeTimeout with the invocation as it is when ctx is.
	Invocation(ctx context.Context, component, name, key string, wait bool) (api.Invocation, error)
	// Cancel takes back an invocation that is not done. One that runs is rolled
	// back.
	Cancel(ctx context.Context, component, name, key string) (api.Invocation, error)
	// Exchange lets a worker answer a request: see waterbear.Platform.
	Exchange(ctx context.Context, component, name, key string, r *http.Request, wait time.Duration) (*http.Response, error)

	// Promises lists those of a worker, without values.
	Promises(ctx context.Context, component, name string) ([]api.Promise, error)
	Promise(ctx context.Context, component, name, promise string) (api.Promise, error)
	// SettlePromise completes a promise or lets it fail. That is durable when it
	// returns. One that is settled is CodePromiseSettled, but for who repeats it
	// with the same key.
	SettlePromise(ctx context.Context, component, name, promise string, s api.Settlement) (api.Promise, error)
	// Webhook finds the promise that the end of a URL is for. It is fast, whatever
	// it is given.
	Webhook(hook string) (component, name, promise string, ok bool)

	// Buckets, Keys, Containers and Objects list up to limit items behind cursor ("":
	// from the first): what the programs of a component share.
	Buckets(ctx context.Context, component, cursor string, limit int) (api.Page[api.Bucket], error)
	Keys(ctx context.Context, component, bucket, cursor string, limit int) (api.Page[api.Value], error)
	Value(ctx context.Context, component, bucket, key string) ([]byte, error)
	DeleteValue(ctx context.Context, component, bucket, key string) error
	Containers(ctx context.Context, component, cursor string, limit int) (api.Page[api.Container], error)
	Objects(ctx context.Context, component, container, cursor string, limit int) (api.Page[api.Object], error)
	// Object opens an object, which has so many bytes as it says.
	Object(ctx context.Context, component, container, name string) (api.Object, io.Reader, error)
	DeleteObject(ctx context.Context, component, container, name string) error
	DeleteContainer(ctx context.Context, component, container string) error

	// Logs and Oplog yield committed entries alone. After a problem of CodeDamaged
	// or CodeExpired the consumer may go on: it concerns the entries it names.
	Logs(ctx context.Context, component, name string, r api.Range) iter.Seq2[api.LogChunk, error]
	Oplog(ctx context.Context, component, name string, r api.Range) iter.Seq2[api.Entry, error]
	// Calls lists up to limit external calls behind cursor, as Workers does. Call
	// tells all of one, CallStack where in the program it was made, and ResolveCall
	// takes what a person says of one that is held.
	Calls(ctx context.Context, f api.CallFilter, cursor string, limit int) (api.CallPage, error)
	Call(ctx context.Context, component, name string, index uint64) (api.ExternalCall, error)
	CallStack(ctx context.Context, component, name string, index uint64) (api.CallStack, error)
	ResolveCall(ctx context.Context, component, name string, index uint64, r api.Resolve) error
	// Files lists all files of a worker, by path. File opens one.
	Files(ctx context.Context, component, name string) ([]api.File, error)
	File(ctx context.Context, component, name, path string) (api.File, io.ReadCloser, error)
	// Export writes all there is of a worker as a tar archive.
	Export(ctx context.Context, component, name string, to io.Writer) error

	// Routes lists them, by name. SetRoute adds one, or replaces that of its name.
	// ApplyRoutes makes these all there are, at once, or with dry only tells what
	// that would change. RoutesOpenAPI describes those for a host, or all if that
	// is "".
	Routes(ctx context.Context) ([]api.Route, error)
	Route(ctx context.Context, name string) (api.Route, error)
	SetRoute(ctx context.Context, r api.Route) (api.RouteChanges, error)
	DeleteRoute(ctx context.Context, name string) error
	ApplyRoutes(ctx context.Context, all api.Routes, dry bool) (api.RouteChanges, error)
	RoutesOpenAPI(ctx context.Context, host string) (json.RawMessage, error)

	CreateToken(ctx context.Context, t api.NewToken) (api.CreatedToken, error)
	Tokens(ctx context.Context) ([]api.Token, error)
	DeleteToken(ctx context.Context, name string) error
	// Authenticate finds the token whose secret it is, or CodeUnauthorized. It
	// is fast: every request does it.
	Authenticate(ctx context.Context, secret string) (api.Token, error)

	// Ready says why the node cannot take work now, or nil.
	Ready() error
	Stats() api.Stats
}
