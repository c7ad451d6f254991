package api

// Route maps HTTP requests from anybody to invocations of a component's workers.
//
// What it takes from a request is named by where it stands there: path.NAME is
// what {NAME} of the path stands for, query.NAME a parameter, header.NAME a field
// of the header, body the whole body as a value, body.NAME a field of it, and raw
// the bytes of the body as they are.
type Route struct {
	Name    string   `json:"name" minLength:"1" maxLength:"128" example:"add-item" doc:"Unique"`
	Host    string   `json:"host,omitempty" maxLength:"253" example:"shop.example.com" doc:"Of the requests, without a port; absent: every host"`
	Methods []string `json:"methods,omitempty" maxItems:"16" doc:"GET stands for HEAD as well; absent: POST for a function, every method for a handler"`
	Path    string   `json:"path" maxLength:"1024" example:"/carts/{cart}/items" doc:"{name} stands for one element, {name...} at the end for the rest"`

	Component string `json:"component" maxLength:"128" example:"shop"`
	Worker    string `json:"worker" maxLength:"256" example:"path.cart" doc:"Which worker: name.NAME, path.NAME, query.NAME, header.NAME; pool.NAME.N: one of NAME-1 to NAME-N; request: one for each request"`
	Existing  bool   `json:"existing,omitempty" doc:"Only workers that there are already: no request makes one"`
	Ephemeral bool   `json:"ephemeral,omitempty" doc:"Each invocation has an instance of its own"`

	Function  string            `json:"function,omitempty" maxLength:"1024" example:"cart.add-item" doc:"What is invoked; absent: the component's wasi:http/incoming-handler"`
	Below     bool              `json:"below,omitempty" doc:"A handler sees what {name...} at the end of the path stands for as the whole path"`
	Arguments map[string]string `json:"arguments,omitempty" doc:"Where parameters come from, by name; of a core module and a command by number from 1. One that is left out comes from the path if that has its name, else from the query of a GET or DELETE, else from the body"`
	Key       string            `json:"key,omitempty" maxLength:"256" doc:"Where idempotency keys come from: header (Idempotency-Key, the default), required (the same, and there has to be one), header.NAME, request (the same request is the same invocation) or off. GET has none"`
	Async     bool              `json:"async,omitempty" doc:"Answer 202 as soon as the invocation is accepted"`

	Status  int            `json:"status,omitempty" doc:"Of an answer with a result; absent: 200, or 204 without content"`
	Errors  map[string]int `json:"errors,omitempty" doc:"Status by the case of the error of a result, * standing for all others; absent: 422"`
	Content string         `json:"content,omitempty" maxLength:"256" example:"text/html; charset=utf-8" doc:"Media type of a result that is a string or bytes, which is sent as it is; absent: JSON"`

	Limits RouteLimits `json:"limits,omitzero"`
	CORS   *CORS       `json:"cors,omitempty" doc:"Which web pages of other sites may use it; absent: none, but for what a handler allows by itself"`
}

// RouteLimits bound what the requests of a route can use. 0 means the default.
type RouteLimits struct {
	Body        uint64   `json:"body,omitempty" doc:"Bytes of a request's body"`
	Concurrency uint64   `json:"concurrency,omitempty" doc:"Requests under way at once; others get 503"`
	Timeout     Duration `json:"timeout,omitempty" doc:"How long a client waits for its answer"`
}

// CORS says which web pages of other sites may use a route (Fetch, "CORS
// protocol").
type CORS struct {
	Origins     []string `json:"origins" minItems:"1" maxItems:"64" example:"[\"https://shop.example.com\"]" doc:"As SCHEME://HOST[:PORT]; * stands for all"`
	Headers     []string `json:"headers,omitempty" maxItems:"64" doc:"Fields that requests may have besides those that all may, Content-Type and Idempotency-Key"`
	Expose      []string `json:"expose,omitempty" maxItems:"64" doc:"Fields of answers that pages may see besides those that all may"`
	Credentials bool     `json:"credentials,omitempty" doc:"With cookies; not with the origin *"`
	MaxAge      Duration `json:"maxAge,omitempty" doc:"How long a browser keeps this in mind"`
}

// Routes are all routes of a node, as a file has them.
type Routes struct {
	Routes []Route `json:"routes" maxItems:"1000"`
}

// RouteChange says what becomes, or would become, of one route.
type RouteChange struct {
	Name   string `json:"name"`
	Change string `json:"change" enum:"added,changed,removed"`
	Before *Route `json:"before,omitempty" doc:"Unless it is added"`
	After  *Route `json:"after,omitempty" doc:"Unless it is removed"`
}

// What RouteChange.Change can be.
const (
	RouteAdded   = "added"
	RouteChanged = "changed"
	RouteRemoved = "removed"
)

// RouteChanges are what applying routes changes, by name.
type RouteChanges struct {
	Changes []RouteChange `json:"changes"`
	Applied bool          `json:"applied" doc:"False if it was only asked what would change"`
	Served  bool          `json:"served" doc:"The server has an address for routes"`
}
