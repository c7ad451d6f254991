package server

import (
	"net/http"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/access"
)

// The media types of bodies.
const (
	mediaJSON   = "application/json"
	mediaWasm   = "application/wasm"
	mediaEvents = "text/event-stream"
	mediaBytes  = "application/octet-stream"
	mediaTar    = "application/x-tar"
	mediaText   = "text/plain"
	mediaAny    = "*/*"
)

// Paths that many operations are below.
const (
	componentPath = "/v1/components/{component}"
	workerPath    = "/v1/workers/{component}/{worker}"
)

// operation is what is declared about one operation: all of it but the types of
// what it takes and gives, which are its handler's.
type operation struct {
	id, method, path string
	summary, about   string
	// needs is what a token must allow.
	needs need
	// body is the media type of the request's body; "": it has none.
	body string
	// bodies are further media types of the request's body, with what they hold.
	bodies map[string]string
	// raw operations read their body by themselves.
	raw bool
	// files says that the body may have files, and be as long as MaxFiles.
	files bool
	// any operations take a body of any type.
	any bool
	// long operations may take longer than Config.Timeout: they bound the time
	// by themselves.
	long bool
	// probe operations are answered also when the server is overloaded, and are
	// not worth a line in the log.
	probe bool
	// success is the status of success, if it is not 200, or 204 without content.
	success int
	// codes are the problems it can answer with, besides those that many can.
	codes []api.Code
	// also are further statuses of success, with the same content as 200.
	also map[int]string
	// media are further types of the content of 200, with what they hold.
	media map[string]string
}

// operations are all there are, by id. What a token must allow is here and
// nowhere else.
var operations = byID(append(answers(),
	operation{
		id: "list-components", method: "GET", path: "/v1/components", needs: need{access.LookAtComponent, listed},
		summary: "List the components", about: "Those that the token may look at, by name.",
	},
	operation{
		id: "get-component", method: "GET", path: componentPath, needs: need{access.LookAtComponent, oneComponent},
		summary: "Get a component", codes: []api.Code{api.CodeNoComponent},
	},
	operation{
		id: "deploy", method: "PUT", path: componentPath, needs: need{access.Deploy, oneComponent},
		summary: "Deploy a component", body: mediaWasm, raw: true,
		about: "Makes the body, a WebAssembly module, the newest revision of the component: 201, or 200 if the same bytes are that already. With Accept: text/event-stream the answer is a stream that tells how far compiling is.",
		codes: []api.Code{api.CodeBadProgram, api.CodeDiskFull, api.CodeDamaged},
		also:  map[int]string{201: "It is a new revision"},
		media: map[string]string{mediaEvents: `Events "progress" with a Progress, and at the end one of "deployed" with a Deployed or "problem" with a Problem.`},
	},
	operation{
		id: "delete-component", method: "DELETE", path: componentPath, needs: need{access.DeleteComponent, oneComponent},
		summary: "Delete a component that has no workers", codes: []api.Code{api.CodeNoComponent, api.CodeComponentInUse, api.CodeDiskFull},
	},
	operation{
		id: "list-revisions", method: "GET", path: componentPath + "/revisions", needs: need{access.LookAtComponent, oneComponent},
		summary: "List the revisions of a component, the newest first", codes: []api.Code{api.CodeNoComponent},
	},
	operation{
		id: "get-wit", method: "GET", path: componentPath + "/revisions/{revision}/wit", needs: need{access.LookAtComponent, oneComponent},
		summary: "Get the interface of a revision, in WIT", codes: []api.Code{api.CodeNoComponent, api.CodeNoRevision, api.CodeNoWIT, api.CodeDamaged},
		media: map[string]string{mediaText: "A package of WIT with the world of the component, and all packages that it is made of"},
	},
	operation{
		id: "configure", method: "PUT", path: componentPath + "/settings", needs: need{access.Configure, oneComponent},
		summary: "Set all settings of a component", body: mediaJSON, codes: []api.Code{api.CodeNoComponent, api.CodeDiskFull},
		about: "What is left out gets the platform's default.",
	},
	operation{
		id: "list-buckets", method: "GET", path: componentPath + "/buckets", needs: need{access.LookAtWorkers, oneComponent},
		summary: "List the buckets of a component that have keys", codes: []api.Code{api.CodeNoComponent, api.CodeDamaged},
	},
	operation{
		id: "list-keys", method: "GET", path: componentPath + "/buckets/keys", needs: need{access.LookAtWorkers, oneComponent},
		summary: "List the keys of a bucket, in order", codes: []api.Code{api.CodeNoComponent, api.CodeDamaged},
		about: "A bucket that is not there has none.",
	},
	operation{
		id: "get-value", method: "GET", path: componentPath + "/buckets/value", needs: need{access.LookAtWorkers, oneComponent},
		summary: "Get the value of a key", codes: []api.Code{api.CodeNoComponent, api.CodeNoKey, api.CodeDamaged},
		media: map[string]string{mediaBytes: "The value, in which secrets are not shown"},
	},
	operation{
		id: "delete-value", method: "DELETE", path: componentPath + "/buckets/value", needs: need{access.DeleteWorkers, oneComponent},
		summary: "Delete a key and its value", codes: []api.Code{api.CodeNoComponent, api.CodeNoKey, api.CodeDiskFull, api.CodeDamaged},
	},
	operation{
		id: "list-containers", method: "GET", path: componentPath + "/containers", needs: need{access.LookAtWorkers, oneComponent},
		summary: "List the containers of a component, by name", codes: []api.Code{api.CodeNoComponent, api.CodeDamaged},
	},
	operation{
		id: "delete-container", method: "DELETE", path: componentPath + "/containers", needs: need{access.DeleteWorkers, oneComponent},
		summary: "Delete a container with all objects in it", codes: []api.Code{api.CodeNoComponent, api.CodeNoContainer, api.CodeDiskFull, api.CodeDamaged},
	},
	operation{
		id: "list-objects", method: "GET", path: componentPath + "/containers/objects", needs: need{access.LookAtWorkers, oneComponent},
		summary: "List the objects of a container, by name", codes: []api.Code{api.CodeNoComponent, api.CodeNoContainer, api.CodeDamaged},
	},
	operation{
		id: "get-object", method: "GET", long: true, path: componentPath + "/containers/object", needs: need{access.LookAtWorkers, oneComponent},
		summary: "Get an object", codes: []api.Code{api.CodeNoComponent, api.CodeNoContainer, api.CodeNoObject, api.CodeDamaged},
		about: "As its programs have written it. The connection breaks off if it cannot be given whole.",
		media: map[string]string{mediaBytes: "The object"},
	},
	operation{
		id: "delete-object", method: "DELETE", path: componentPath + "/containers/object", needs: need{access.DeleteWorkers, oneComponent},
		summary: "Delete an object", codes: []api.Code{api.CodeNoComponent, api.CodeNoContainer, api.CodeNoObject, api.CodeDiskFull, api.CodeDamaged},
	},
	operation{
		id: "list-workers", method: "GET", path: "/v1/workers", needs: need{access.LookAtWorkers, listed},
		summary: "List workers", about: "Those that the token may look at. A page may have fewer than limit, even none, and still a next: it is the last one if next is absent.",
	},
	operation{
		id: "create-worker", method: "PUT", path: workerPath, needs: need{access.CreateWorkers, oneComponent},
		summary: "Create a worker", body: mediaJSON, files: true,
		about: "201, or 200 if it exists and was created alike. The body may have 64 MiB, so that initial files fit in.",
		codes: []api.Code{api.CodeNoComponent, api.CodeNoRevision, api.CodeWorkerExists, api.CodeDiskFull},
		also:  map[int]string{201: "It was created"},
	},
	operation{
		id: "get-worker", method: "GET", path: workerPath, needs: need{access.LookAtWorkers, oneComponent},
		summary: "Get a worker", codes: []api.Code{api.CodeNoComponent, api.CodeNoWorker, api.CodeDamaged},
	},
	operation{
		id: "delete-worker", method: "DELETE", path: workerPath, needs: need{access.DeleteWorkers, oneComponent},
		summary: "Delete a worker and all that is stored of it", codes: []api.Code{api.CodeNoComponent, api.CodeNoWorker, api.CodeWorkerBusy, api.CodeDiskFull},
	},
	operation{
		id: "fork-worker", method: "POST", path: workerPath + "/fork", needs: need{access.CreateWorkers, oneComponent},
		summary: "Make a copy of a worker", body: mediaJSON,
		about: "The copy has the same memory, files and history. The worker must be in no invocation; those that wait stay its own.",
		codes: []api.Code{api.CodeNoComponent, api.CodeNoWorker, api.CodeWorkerExists, api.CodeWorkerBusy, api.CodeDiskFull, api.CodeDamaged},
		also:  map[int]string{201: "It was made"},
	},
	operation{
		id: "interrupt-worker", method: "POST", path: workerPath + "/interrupt", needs: need{access.ControlWorkers, oneComponent},
		summary: "Stop a worker until it is resumed", body: mediaJSON,
		codes: []api.Code{api.CodeNoComponent, api.CodeNoWorker, api.CodeWorkerFailed, api.CodeWorkerExited, api.CodeDiskFull},
	},
	operation{
		id: "resume-worker", method: "POST", path: workerPath + "/resume", needs: need{access.ControlWorkers, oneComponent},
		summary: "Let an interrupted worker go on",
		codes:   []api.Code{api.CodeNoComponent, api.CodeNoWorker, api.CodeWorkerFailed, api.CodeWorkerExited, api.CodeDiskFull},
	},
	operation{
		id: "retry-worker", method: "POST", path: workerPath + "/retry", needs: need{access.ControlWorkers, oneComponent},
		summary: "Let a failed or retrying worker try again at once",
		codes:   []api.Code{api.CodeNoComponent, api.CodeNoWorker, api.CodeWorkerExited, api.CodeDiskFull},
	},
	operation{
		id: "invoke", method: "POST", path: workerPath + "/invoke/{function}", needs: need{access.Invoke, oneComponent},
		summary: "Invoke a function of a worker", body: mediaJSON, raw: true,
		bodies: map[string]string{api.MediaWAVE: `The arguments of a function of a component in WAVE, as in (1, "x", {sku: "x", count: 2})`},
		about:  "Makes the worker if it is not there. The body is an array of arguments; without a body there are none. A function in an interface of a component is called interface.function, with as much before it as is needed to tell it from others. The answer is 200 with the result, 202 if the invocation is accepted and not done, or a problem. Whatever was accepted goes on when the client does not wait.",
		codes: []api.Code{
			api.CodeNoComponent, api.CodeNoFunction, api.CodeBadArguments, api.CodeNoLink, api.CodeKeyReused, api.CodeWorkerFailed, api.CodeWorkerExited,
			api.CodeInvocationFailed, api.CodeQueueFull, api.CodeDiskFull, api.CodeDamaged,
		},
		also: map[int]string{202: "It is accepted, and not done: ask for it at the Location"},
	},
	operation{
		id: "get-invocation", method: "GET", path: workerPath + "/invocations/{key}", needs: need{access.LookAtWorkers, oneComponent},
		summary: "Get an invocation", about: "With wait=true, once it is done.",
		codes: []api.Code{api.CodeNoComponent, api.CodeNoWorker, api.CodeNoInvocation, api.CodeExpired, api.CodeDamaged},
	},
	operation{
		id: "cancel-invocation", method: "DELETE", path: workerPath + "/invocations/{key}", needs: need{access.Invoke, oneComponent},
		summary: "Cancel an invocation that is not done", about: "One that runs is rolled back.",
		codes: []api.Code{api.CodeNoComponent, api.CodeNoWorker, api.CodeNoInvocation, api.CodeExpired, api.CodeNotCancelable, api.CodeDiskFull},
	},
	operation{
		id: "list-promises", method: "GET", path: workerPath + "/promises", needs: need{access.LookAtWorkers, oneComponent},
		summary: "List the promises of a worker", codes: []api.Code{api.CodeNoComponent, api.CodeNoWorker, api.CodeDamaged},
		about: "Those that are pending, and those that are settled and still known, in the order in which they were made, without values.",
	},
	operation{
		id: "get-promise", method: "GET", path: workerPath + "/promises/{promise}", needs: need{access.LookAtWorkers, oneComponent},
		summary: "Get a promise, with its value", codes: []api.Code{api.CodeNoComponent, api.CodeNoWorker, api.CodeNoPromise, api.CodeDamaged},
	},
	operation{
		id: "complete-promise", method: "POST", path: workerPath + "/promises/{promise}/complete", needs: need{access.Invoke, oneComponent},
		summary: "Complete a promise, once", body: mediaBytes, raw: true,
		bodies: map[string]string{mediaJSON: "The value, which is the text of the JSON as it is sent"},
		about:  "The body is the value, at most 256 KiB. It is durable when the answer comes, and the worker goes on if it waits for it. A promise that is settled stays as it is: 409, unless this is the same again with the same key.",
		codes: []api.Code{
			api.CodeNoComponent, api.CodeNoWorker, api.CodeNoPromise, api.CodePromiseSettled, api.CodePromisesFull, api.CodeWorkerExited, api.CodeDiskFull, api.CodeDamaged,
		},
	},
	operation{
		id: "fail-promise", method: "POST", path: workerPath + "/promises/{promise}/fail", needs: need{access.Invoke, oneComponent},
		summary: "Let a promise fail, once", body: mediaJSON, about: "As complete-promise, with a message in place of a value.",
		codes: []api.Code{
			api.CodeNoComponent, api.CodeNoWorker, api.CodeNoPromise, api.CodePromiseSettled, api.CodePromisesFull, api.CodeWorkerExited, api.CodeDiskFull, api.CodeDamaged,
		},
	},
	operation{
		id: "webhook", method: "POST", path: "/v1/webhooks/{hook}", summary: "Complete a promise by the URL that its worker gave out, once",
		body: mediaAny, raw: true,
		about: "It needs no token: nobody can guess the URL. The body, whatever it is and at most 256 KiB, is the value.",
		codes: []api.Code{api.CodeNoPromise, api.CodeNoWorker, api.CodePromiseSettled, api.CodePromisesFull, api.CodeWorkerExited, api.CodeDiskFull, api.CodeDamaged},
	},
	operation{
		id: "get-logs", method: "GET", long: true, path: workerPath + "/logs", needs: need{access.LookAtWorkers, oneComponent},
		summary: "Get the output of a worker", codes: []api.Code{api.CodeNoComponent, api.CodeNoWorker, api.CodeExpired, api.CodeDamaged},
		about: "A page, or with Accept: text/event-stream a stream.",
		media: map[string]string{mediaEvents: `Events "log" with a LogChunk, whose index is the id of the event, and "problem" with a Problem where something cannot be read, or is not kept.`},
	},
	operation{
		id: "get-oplog", method: "GET", long: true, path: workerPath + "/oplog", needs: need{access.LookAtWorkers, oneComponent},
		summary: "Get the oplog of a worker", codes: []api.Code{api.CodeNoComponent, api.CodeNoWorker, api.CodeExpired, api.CodeDamaged},
		about: "A page, or with Accept: text/event-stream a stream.",
		media: map[string]string{mediaEvents: `Events "entry" with an Entry, whose index is the id of the event, and "problem" with a Problem where something cannot be read, or is not kept.`},
	},
	operation{
		id: "list-calls", method: "GET", path: "/v1/calls", needs: need{access.LookAtWorkers, listed},
		summary: "List external calls", codes: []api.Code{api.CodeNoComponent, api.CodeNoWorker},
		about: "By which workers that the token may look at have reached outside: those of one worker after those of another, the newest first. A page may have fewer than limit, even none, and still a next: it is the last one if next is absent. What of a worker cannot be read, or is not kept, is among the problems.",
	},
	operation{
		id: "get-call", method: "GET", path: workerPath + "/calls/{index}", needs: need{access.LookAtWorkers, oneComponent},
		summary: "Get an external call of a worker", codes: []api.Code{api.CodeNoComponent, api.CodeNoWorker, api.CodeNoCall, api.CodeExpired, api.CodeDamaged},
	},
	operation{
		id: "get-call-stack", method: "GET", path: workerPath + "/calls/{index}/stack", needs: need{access.LookAtWorkers, oneComponent},
		summary: "Get where in the program an external call was made",
		about:   "The program is run again up to the call, beside whatever the worker does, which takes about as long as it had computed in that invocation.",
		codes:   []api.Code{api.CodeNoComponent, api.CodeNoWorker, api.CodeNoCall, api.CodeExpired, api.CodeDamaged, api.CodeOverloaded},
	},
	operation{
		id: "resolve-call", method: "POST", path: workerPath + "/calls/{index}/resolve", needs: need{access.ControlWorkers, oneComponent},
		summary: "Say what becomes of a call that is held", body: mediaJSON,
		about: "It is durable when it is answered, and takes effect once.",
		codes: []api.Code{api.CodeNoComponent, api.CodeNoWorker, api.CodeNoCall, api.CodeNotHeld, api.CodeExpired, api.CodeDiskFull},
	},
	operation{
		id: "list-files", method: "GET", path: workerPath + "/files", needs: need{access.LookAtWorkers, oneComponent},
		summary: "List the files of a worker", codes: []api.Code{api.CodeNoComponent, api.CodeNoWorker, api.CodeWorkerBusy, api.CodeDamaged},
	},
	operation{
		id: "get-file", method: "GET", long: true, path: workerPath + "/files/{path}", needs: need{access.LookAtWorkers, oneComponent},
		summary: "Get the content of a file of a worker", codes: []api.Code{api.CodeNoComponent, api.CodeNoWorker, api.CodeNoFile, api.CodeWorkerBusy, api.CodeDamaged},
		media: map[string]string{mediaBytes: "The content of the file"},
	},
	operation{
		id: "export-worker", method: "GET", long: true, path: workerPath + "/export", needs: need{access.LookAtWorkers, oneComponent},
		summary: "Export all there is of a worker", codes: []api.Code{api.CodeNoComponent, api.CodeNoWorker, api.CodeDamaged},
		media: map[string]string{mediaTar: "A tar archive; the connection breaks off if it cannot be finished"},
	},
	operation{
		id: "list-routes", method: "GET", path: "/v1/routes", needs: need{access.LookAtRoutes, wholeNode}, summary: "List the routes, by name",
		codes: []api.Code{api.CodeDamaged},
	},
	operation{
		id: "get-route", method: "GET", path: "/v1/routes/{route}", needs: need{access.LookAtRoutes, wholeNode},
		summary: "Get a route", codes: []api.Code{api.CodeUnknownRoute, api.CodeDamaged},
	},
	operation{
		id: "set-route", method: "PUT", path: "/v1/routes/{route}", needs: need{access.ChangeRoutes, wholeNode},
		summary: "Add a route, or replace it", body: mediaJSON, codes: []api.Code{api.CodeRouteConflict, api.CodeDiskFull, api.CodeDamaged},
		about: "It holds for requests that come in from then on. What it says is checked: the component has to be deployed, and to have the function and its parameters.",
	},
	operation{
		id: "delete-route", method: "DELETE", path: "/v1/routes/{route}", needs: need{access.ChangeRoutes, wholeNode},
		summary: "Delete a route", codes: []api.Code{api.CodeUnknownRoute, api.CodeDiskFull, api.CodeDamaged},
	},
	operation{
		id: "apply-routes", method: "PUT", path: "/v1/routes", needs: need{access.ChangeRoutes, wholeNode},
		summary: "Set all routes", body: mediaJSON, codes: []api.Code{api.CodeRouteConflict, api.CodeDiskFull, api.CodeDamaged},
		about: "All hold at once, or nothing is changed. With dryRun=true nothing is changed, and the answer says what would be.",
	},
	operation{
		id: "routes-openapi", method: "GET", path: "/v1/openapi", raw: true, needs: need{access.LookAtRoutes, wholeNode},
		summary: "Get the OpenAPI document of the routes", media: map[string]string{"application/openapi+json": "OpenAPI 3.1"},
		about: "Those that lead to functions, whose types it has from the components. With host those for that host; of two hosts that have the same path, the document of all has one alone.",
	},
	operation{
		id: "list-tokens", method: "GET", path: "/v1/tokens", needs: need{access.ManageTokens, wholeNode}, summary: "List the tokens, without their secrets",
	},
	operation{
		id: "create-token", method: "POST", path: "/v1/tokens", needs: need{access.ManageTokens, wholeNode},
		summary: "Create a token", about: "The secret is in this answer only.", body: mediaJSON, success: http.StatusCreated, codes: []api.Code{api.CodeDiskFull},
	},
	operation{
		id: "delete-token", method: "DELETE", path: "/v1/tokens/{token}", needs: need{access.ManageTokens, wholeNode},
		summary: "Delete a token", codes: []api.Code{api.CodeNoToken, api.CodeDiskFull},
	},
	operation{
		id: "health", method: "GET", path: "/healthz", probe: true, summary: "Ask whether the process lives",
	},
	operation{
		id: "ready", method: "GET", path: "/readyz", probe: true, summary: "Ask whether the node takes work now",
		codes: []api.Code{api.CodeStopping, api.CodeDiskFull, api.CodeOverloaded},
	},
	operation{
		id: "metrics", method: "GET", path: "/metrics", needs: need{access.LookAtNode, wholeNode}, raw: true,
		summary: "Get figures for monitoring", media: map[string]string{"text/plain": "The text format of Prometheus"},
	},
	operation{
		id: "openapi-json", method: "GET", path: "/openapi.json", raw: true, summary: "Get this document as JSON",
		media: map[string]string{"application/openapi+json": "OpenAPI 3.1"},
	},
	operation{
		id: "openapi-yaml", method: "GET", path: "/openapi.yaml", raw: true, summary: "Get this document as YAML",
		media: map[string]string{"application/openapi+yaml": "OpenAPI 3.1"},
	},
	operation{
		id: "index", method: "GET", path: "/", summary: "Get what this is and where to look",
		about: "A path or a method that is not in this document has the same answers.",
		codes: []api.Code{api.CodeNoRoute, api.CodeMethod},
	},
)...)

// answers are the operations by which a worker answers requests, one for each
// method.
func answers() (list []operation) {
	for _, method := range answerMethods {
		list = append(list, operation{
			id: answerOperation(method), method: method, path: workerPath + "/http/{path}", needs: need{access.Invoke, oneComponent},
			summary: "Let a worker answer a " + method + " request", raw: true, long: true, any: true,
			about: "For components that export wasi:http/incoming-handler. Makes the worker if it is not there. The response is the program's, as it comes; a connection that breaks off says that it is not whole, and the request can be repeated with its key.",
			codes: []api.Code{
				api.CodeNoComponent, api.CodeNoFunction, api.CodeNoLink, api.CodeKeyReused, api.CodeWorkerFailed, api.CodeWorkerExited,
				api.CodeInvocationFailed, api.CodeQueueFull, api.CodeDiskFull, api.CodeDamaged, api.CodeExpired,
			},
			media: map[string]string{"*/*": "What the program answers, with the status that it says"},
		})
	}
	return list
}

func byID(list ...operation) map[string]operation {
	m := make(map[string]operation, len(list))
	for _, o := range list {
		m[o.id] = o
	}
	return m
}
