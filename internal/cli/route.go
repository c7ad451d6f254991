package cli

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/client"
)

func (a *app) routeCommand() *cobra.Command {
	return a.serverGroup("route", "Let HTTP requests from anybody invoke functions",
		`Say which HTTP requests lead to which functions of which workers. A server that
has an address for routes (--routes-listen) answers them there, to anybody who
can connect; the commands here speak to the REST interface, as all others do.`,
		`  waterbear server --routes-listen :8080 &
  waterbear route add --worker path.cart --function add add shop '/carts/{cart}'
  waterbear route list --yaml > routes.yaml
  waterbear route apply --dry-run routes.yaml`,
		a.routeAddCommand(), a.routeListCommand(), a.routeGetCommand(), a.routeDeleteCommand(), a.routeApplyCommand(), a.routeOpenAPICommand())
}

// routeFlags are the flags of route add.
type routeFlags struct {
	api.Route
	arguments, errors        []string
	body                     byteSize
	timeout, maxAge          time.Duration
	origins, headers, expose []string
	credentials, asJSON      bool
}

func (a *app) routeAddCommand() *cobra.Command {
	var o routeFlags
	cmd := &cobra.Command{
		Use:   "add [flags] NAME COMPONENT REQUESTS",
		Short: "Add a route, or replace the one of its name",
		Long: `Add a route. REQUESTS says which: methods, a host and a path, as in
"GET,POST shop.example.com/carts/{cart}"; without methods POST, or all for a
handler; without a host every host. {name} stands for one element of the path,
{name...} at its end for the rest. Of two routes the narrower one counts.

What a route takes from a request is named by where it stands there:

  path.NAME     what {NAME} of the path stands for
  query.NAME    a parameter of the query
  header.NAME   a field of the header
  body          the body: JSON, or text or bytes where these are wanted
  body.NAME     a field of it, or of a form
  raw           the bytes of the body, whatever they are

--worker says which worker: one of the first three, or

  name.NAME     this one
  pool.NAME.N   one of NAME-1 to NAME-N
  request       one for each request

A parameter without --argument comes from the path if that has its name (with _
in place of -), else from the query of a GET or DELETE, else from the body: as
a field of it, or as all of it where it is the only one. Parameters of a core
module have numbers, from 1.

Without --function the component's own wasi:http/incoming-handler answers, all
methods unless REQUESTS names some.

A result is sent as JSON. Of a result<T, E> an ok is 200, and an error 422 or
what --error says.

--json prints one object: changes, applied, and served, which is false if the
server has no address for routes.`,
		Example: `  waterbear route add --worker path.cart --function add add shop '/carts/{cart}'
  waterbear route add --worker name.main --function find \
    --error not-found=404 find shop 'GET shop.example.com/items/{id}'
  waterbear route add --worker pool.hook.16 --function receive \
    --argument event=raw --key header.X-Event-Id hook shop /hook`,
		Args: exactly(3, "a name, a component, and which requests"),
	}
	f := cmd.Flags()
	f.StringVar(&o.Worker, "worker", "", "which `WORKER` it is for: see above (required)")
	f.StringVar(&o.Function, "function", "", "invoke the function `NAME`; without it, the component's wasi:http/incoming-handler")
	f.BoolVar(&o.Below, "below", false, "a handler sees what {name...} stands for as the whole path")
	f.StringArrayVar(&o.arguments, "argument", nil, "take a parameter from a place, as `NAME=PLACE` (repeatable)")
	f.StringVar(&o.Key, "key", "", "`WHERE` idempotency keys come from: header, required, header.NAME, request, off")
	f.BoolVar(&o.Async, "async", false, "answer 202 as soon as the invocation is accepted")
	f.BoolVar(&o.Existing, "existing", false, "only workers that there are already; others are 404")
	f.BoolVar(&o.Ephemeral, "ephemeral", false, "each invocation has an instance of its own")
	f.IntVar(&o.Status, "status", 0, "`STATUS` of an answer with a result (default 200, or 204 without content)")
	f.StringArrayVar(&o.errors, "error", nil, "status of an error of the function: `CASE=STATUS`, * for all others (repeatable)")
	f.StringVar(&o.Content, "content", "", "`TYPE` of a result that is a string or bytes, which is sent as it is")
	f.Var(&o.body, "max-body", "longest body of a request, as `SIZE` (default 1MiB)")
	f.Uint64Var(&o.Limits.Concurrency, "concurrency", 0, "`NUMBER` of requests under way at once (default 1000)")
	f.DurationVar(&o.timeout, "timeout", 0, "how long a client waits for its answer, as `DURATION` (default the server's)")
	f.StringArrayVar(&o.origins, "cors-origin", nil, "web pages of `ORIGIN` may use it; * stands for all (repeatable)")
	f.StringArrayVar(&o.headers, "cors-header", nil, "they may send the field `NAME` (repeatable)")
	f.StringArrayVar(&o.expose, "cors-expose", nil, "they may see the field `NAME` (repeatable)")
	f.BoolVar(&o.credentials, "cors-credentials", false, "they may send cookies")
	f.DurationVar(&o.maxAge, "cors-max-age", 0, "browsers keep that in mind for `DURATION`")
	f.BoolVar(&o.asJSON, "json", false, "print one JSON object")
	return a.remoteCommand(cmd, func(cmd *cobra.Command, args []string, r *remote, c *client.Client) error {
		if err := o.read(cmd, args); err != nil {
			return err
		}
		changes, err := c.SetRoute(cmd.Context(), o.Route)
		if err != nil {
			return err
		}
		return r.printChanges(changes, o.asJSON)
	})
}

// read makes a route of what was typed.
func (o *routeFlags) read(cmd *cobra.Command, args []string) error {
	r := &o.Route
	r.Name, r.Component = args[0], args[1]
	methods, at, ok := strings.Cut(args[2], " ")
	if !ok {
		methods, at = "", methods
	}
	slash := strings.IndexByte(at, '/')
	if slash < 0 {
		return misuse(cmd, "%s has no path: write it as in 'GET /items/{id}'", shellQuote(args[2]))
	}
	if methods != "" {
		r.Methods = strings.Split(methods, ",")
	}
	r.Host, r.Path = at[:slash], at[slash:]
	if r.Worker == "" {
		return misuse(cmd, "wants --worker: which worker the requests are for, such as path.cart or name.main")
	}
	for _, said := range o.arguments {
		name, place, ok := strings.Cut(said, "=")
		if !ok {
			return misuse(cmd, "--argument %s: want NAME=PLACE, such as item=body", shellQuote(said))
		}
		if r.Arguments == nil {
			r.Arguments = map[string]string{}
		}
		r.Arguments[name] = place
	}
	for _, said := range o.errors {
		name, status, _ := strings.Cut(said, "=")
		n, err := strconv.Atoi(status)
		if err != nil {
			return misuse(cmd, "--error %s: want CASE=STATUS, such as not-found=404", shellQuote(said))
		}
		if r.Errors == nil {
			r.Errors = map[string]int{}
		}
		r.Errors[name] = n
	}
	r.Limits.Body, r.Limits.Timeout = uint64(o.body), api.Duration(o.timeout)
	if len(o.origins) > 0 {
		r.CORS = &api.CORS{Origins: o.origins, Headers: o.headers, Expose: o.expose, Credentials: o.credentials, MaxAge: api.Duration(o.maxAge)}
	} else if len(o.headers)+len(o.expose) > 0 || o.credentials || o.maxAge != 0 {
		return misuse(cmd, "wants --cors-origin: which web pages may use the route")
	}
	return nil
}

// printChanges tells what a change of routes came to.
func (r *remote) printChanges(changes api.RouteChanges, asJSON bool) error {
	if asJSON {
		return writeJSON(r.stdout, changes)
	}
	for _, c := range changes.Changes {
		if _, err := fmt.Fprintf(r.stdout, "%s %s\n", printable(c.Change), routeText(c)); err != nil {
			return err
		}
	}
	if len(changes.Changes) == 0 {
		if _, err := fmt.Fprintln(r.stdout, "nothing changes"); err != nil {
			return err
		}
	}
	if !changes.Served {
		fmt.Fprintln(r.stderr, "waterbear: the server answers no routes: start it with --routes-listen, such as --routes-listen :8080")
	}
	return nil
}

// routeText is a changed route in a line.
func routeText(c api.RouteChange) string {
	text := printable(c.Name)
	if c.After == nil {
		return text
	}
	text += ": " + requestsText(c.After) + " to " + targetText(c.After)
	if c.Before != nil {
		text += " (" + strings.Join(routeFields(c.Before, c.After), ", ") + ")"
	}
	return text
}

// requestsText says which requests a route is for.
func requestsText(r *api.Route) string {
	methods := strings.Join(r.Methods, ",")
	switch {
	case methods != "":
	case r.Function != "":
		methods = "POST"
	default:
		methods = "*"
	}
	return printable(methods + " " + r.Host + r.Path)
}

// targetText says where they lead.
func targetText(r *api.Route) string {
	function := r.Function
	if function == "" {
		function = "its handler"
	}
	return printable(fmt.Sprintf("%s of %s/%s", function, r.Component, r.Worker))
}

func (a *app) routeListCommand() *cobra.Command {
	var asJSON, asYAML bool
	cmd := &cobra.Command{
		Use:   "list [flags]",
		Short: "List the routes",
		Long: `List the routes, by name.

--yaml prints them as a file that "waterbear route apply" reads.

--json prints one object per line and route: name, path, component, worker, and
what else it says.`,
		Example: `  waterbear route list
  waterbear route list --yaml > routes.yaml`,
		Args: exactly(0, "no arguments"),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per line")
	cmd.Flags().BoolVar(&asYAML, "yaml", false, "print a file for route apply")
	cmd.MarkFlagsMutuallyExclusive("json", "yaml")
	return a.remoteCommand(cmd, func(cmd *cobra.Command, _ []string, _ *remote, c *client.Client) error {
		all, err := c.Routes(cmd.Context())
		switch {
		case err != nil:
			return err
		case asJSON:
			return writeLines(a, all)
		case asYAML:
			return writeYAML(a.stdout, api.Routes{Routes: listed(all)})
		}
		t := a.listing()
		t.add("NAME", "REQUESTS", "COMPONENT", "WORKER", "FUNCTION")
		for i := range all {
			r := &all[i]
			t.add(printable(r.Name), requestsText(r), printable(r.Component), printable(r.Worker), printable(r.Function))
		}
		return t.write(a.stdout)
	})
}

func (a *app) routeGetCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "get [flags] ROUTE",
		Short: "Show a route",
		Long: `Show all that a route says, as YAML.

--json prints one object instead.`,
		Example: `  waterbear route get shop-add`,
		Args:    exactly(1, "the name of a route"),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return a.remoteCommand(cmd, func(cmd *cobra.Command, args []string, _ *remote, c *client.Client) error {
		r, err := c.Route(cmd.Context(), args[0])
		switch {
		case err != nil:
			return err
		case asJSON:
			return writeJSON(a.stdout, r)
		}
		return writeYAML(a.stdout, r)
	})
}

func (a *app) routeDeleteCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "delete [flags] ROUTE...",
		Short: "Delete routes",
		Long: `Delete routes. Requests that are under way end as if they were still there, and
workers stay as they are.

--json prints one object per line for each route that was deleted: its name.`,
		Example: `  waterbear route delete shop-add`,
		Args:    atLeastOne("the names of routes"),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per line")
	return a.remoteCommand(cmd, func(cmd *cobra.Command, args []string, r *remote, c *client.Client) error {
		return r.each(args, asJSON, "name", func(name string) error { return c.DeleteRoute(cmd.Context(), name) })
	})
}

func (a *app) routeApplyCommand() *cobra.Command {
	var asJSON, dry bool
	cmd := &cobra.Command{
		Use:   "apply [flags] FILE",
		Short: "Set all routes to those of a file",
		Long: `Make the routes of a file all that there are: those that it does not have are
removed. They hold all at once; if anything is wrong nothing is changed. FILE is
YAML or JSON, - standard input:

  routes:
    - name: shop-add
      methods: [POST]
      path: /carts/{cart}/items
      component: shop
      worker: path.cart
      function: add
      arguments: {item: body}

"waterbear route list --yaml" prints such a file. What a route can say is in the
guide, docs/guide/routes.md.

--json prints one object: changes, applied, and served, which is false if the
server has no address for routes.`,
		Example: `  waterbear route apply --dry-run routes.yaml
  waterbear route apply routes.yaml`,
		Args: exactly(1, "a file"),
	}
	cmd.Flags().BoolVar(&dry, "dry-run", false, "change nothing, and print what would change")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	cmd.ValidArgsFunction = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return []string{"yaml", "yml", "json"}, cobra.ShellCompDirectiveFilterFileExt
	}
	return a.remoteCommand(cmd, func(cmd *cobra.Command, args []string, r *remote, c *client.Client) error {
		all, err := a.readRoutes(args[0])
		if err != nil {
			return err
		}
		changes, err := c.ApplyRoutes(cmd.Context(), all, dry)
		if err != nil {
			return err
		}
		return r.printChanges(changes, asJSON)
	})
}

func (a *app) routeOpenAPICommand() *cobra.Command {
	var host string
	cmd := &cobra.Command{
		Use:   "openapi [flags]",
		Short: "Print the OpenAPI document of the routes",
		Long: `Print what describes the routes to functions: an OpenAPI 3.1 document, in JSON.
The types are those that the components have; handlers are not in it, for they
have none.`,
		Example: `  waterbear route openapi > openapi.json
  waterbear route openapi --host shop.example.com`,
		Args: exactly(0, "no arguments"),
	}
	cmd.Flags().StringVar(&host, "host", "", "only the routes for `HOST`; without it, of two hosts with the same path one is left out")
	return a.remoteCommand(cmd, func(cmd *cobra.Command, _ []string, _ *remote, c *client.Client) error {
		text, err := c.RoutesOpenAPI(cmd.Context(), host)
		if err != nil {
			return err
		}
		return writeJSON(a.stdout, text)
	})
}

// routeFields are the names of what differs between two routes.
func routeFields(before, after *api.Route) []string {
	one, other := jsonFields(before), jsonFields(after)
	var names []string
	for name, v := range one {
		if other[name] != v {
			names = append(names, name)
		}
	}
	for name := range other {
		if _, had := one[name]; !had {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
