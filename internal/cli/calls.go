package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/client"
)

func (a *app) callsCommand() *cobra.Command {
	var f api.CallFilter
	var state string
	var limit int
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "calls [flags] [COMPONENT[/WORKER]]",
		GroupID: groupServer,
		Short:   "Show by which calls workers reached outside",
		Long: `Show by which calls the workers of a server have reached outside, such as HTTP
requests: those of one worker after those of another, the newest first.
Credentials, cookies and what looks like a token in a URL are not shown.

A call is done if there was an answer, not-sent if it failed before anything of
it had left, and in-doubt if it may have had its effect and nobody has answered.
One that is held is in doubt, and its worker waits for a person to say what has
become of it, by "waterbear calls resolve".

What is not kept any more is told of on standard error.

--json prints one object per line and call: worker, index, function, state,
request, response, key, attempts, began, ended, and where in the program:
invocation, called, attempt, undone.`,
		Example: `  waterbear calls shop/alice
  waterbear calls --state held
  waterbear calls --json shop | jq -r 'select(.attempts > 1) | .request'`,
		Args: cobra.MaximumNArgs(1),
	}
	flags := cmd.Flags()
	flags.StringVar(&state, "state", "", "only those with `STATE`, such as held or in-doubt")
	flags.BoolVar(&f.Reads, "reads", false, "with those that only ask or wait, such as for a time")
	flags.IntVar(&limit, "limit", 0, "at most `NUMBER` of them (default: all)")
	flags.BoolVar(&asJSON, "json", false, "print one JSON object per line")
	var states []string
	for _, s := range api.CallStates() {
		states = append(states, string(s))
	}
	_ = cmd.RegisterFlagCompletionFunc("state", cobra.FixedCompletions(states, cobra.ShellCompDirectiveNoFileComp))
	a.remoteCommand(cmd, func(cmd *cobra.Command, args []string, _ *remote, c *client.Client) error {
		if state != "" && !slices.Contains(states, state) {
			return misuse(cmd, "--state %s: want one of %s", shellQuote(state), strings.Join(states, ", "))
		}
		if cmd.Flags().Changed("limit") && limit <= 0 {
			return misuse(cmd, "--limit %d lists nothing", limit)
		}
		f.State = api.CallState(state)
		if len(args) == 1 {
			f.Component, f.Worker, _ = strings.Cut(args[0], "/")
		}
		return a.printCalls(c, cmd, f, limit, asJSON)
	})
	cmd.AddCommand(a.callsShowCommand(), a.callsResolveCommand())
	return cmd
}

// printCalls prints calls as they come.
func (a *app) printCalls(c *client.Client, cmd *cobra.Command, f api.CallFilter, limit int, asJSON bool) error {
	if asJSON {
		return readAround(a, atMost(c.Calls(cmd.Context(), f), limit), func(v api.ExternalCall) error { return writeJSON(a.stdout, v) })
	}
	paint := a.styleFor(a.stdout)
	var batch []api.ExternalCall
	first := true
	flush := func() error {
		above := 0
		if first {
			above = 1
		}
		t := &table{
			right: map[int]bool{1: true, 3: true},
			paint: func(row, column int, text string) string {
				switch {
				case row < above:
					return paint.dim(text)
				case column == 0:
					return paint.bold(text)
				case column == 2:
					return paint.callState(batch[row-above].State, text)
				}
				return text
			},
		}
		if first {
			t.add("WORKER", "INDEX", "STATE", "SENT", "BEGAN", "IN", "CALL")
		}
		now := time.Now()
		for _, v := range batch {
			t.add(printable(v.Worker), strconv.FormatUint(v.Index, 10), printable(string(v.State)), commas(v.Attempts), ago(v.Began, now), printable(calledIn(v)), printable(callLine(v)))
		}
		err := t.write(a.stdout)
		batch, first = batch[:0], false
		return err
	}
	err := readAround(a, atMost(c.Calls(cmd.Context(), f), limit), func(v api.ExternalCall) error {
		if batch = append(batch, v); len(batch) == tableBatch {
			return flush()
		}
		return nil
	})
	if len(batch) > 0 || first {
		if flushed := flush(); err == nil {
			err = flushed
		}
	}
	return err
}

// callState colours a state by whether a person should care.
func (s style) callState(state api.CallState, text string) string {
	switch state {
	case api.CallHeld, api.CallInDoubt:
		return s.yellow(text)
	case api.CallNotSent, api.CallFailed:
		return s.red(text)
	case api.CallUnderWay:
		return s.cyan(text)
	}
	return s.green(text)
}

// calledIn is where in the program a call was made, in a few words.
func calledIn(v api.ExternalCall) string {
	if v.Called == "" {
		return "-"
	}
	if v.Undone {
		return v.Called + ", undone"
	}
	return v.Called
}

// callLine is a call on one line.
func callLine(v api.ExternalCall) string {
	s := v.Request
	if v.Function != "http.send" {
		s = strings.TrimSpace(v.Function + " " + s)
	}
	if v.Response != "" {
		s += " → " + v.Response
	}
	return s
}

// oneCall is the Args of commands on one call.
func oneCall() cobra.PositionalArgs {
	return exactly(2, "a worker, as COMPONENT/WORKER, and the index of one of its calls")
}

func parseCall(cmd *cobra.Command, args []string) (w workerRef, index uint64, err error) {
	if w, err = parseWorker(cmd, args[0]); err != nil {
		return w, 0, err
	}
	if index, err = strconv.ParseUint(args[1], 10, 64); err != nil || index == 0 {
		return w, 0, misuse(cmd, "%s is no index of a call; \"waterbear calls %s\" shows them", shellQuote(args[1]), w)
	}
	return w, index, nil
}

func (a *app) callsShowCommand() *cobra.Command {
	var asJSON, stack bool
	cmd := &cobra.Command{
		Use:   "show [flags] COMPONENT/WORKER INDEX",
		Short: "Show all that is known of a call",
		Long: `Show all that is known of one call by which a worker reached outside: what was
asked and answered, without secrets, where in the program, each time that it was
sent again and why, and what a person has said of it.

--stack adds the functions of the program that were being called, innermost
first: the program is run again up to the call, which takes about as long as it
had computed in that invocation.

--json prints one object: what "waterbear calls --json" does, and requestDetail,
responseDetail, repeats, held and resolved, and with --stack functions.`,
		Example: `  waterbear calls show shop/alice 17
  waterbear calls show --stack shop/alice 17`,
		Args: oneCall(),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	cmd.Flags().BoolVar(&stack, "stack", false, "show the functions that were being called, too")
	return a.remoteCommand(cmd, func(cmd *cobra.Command, args []string, r *remote, c *client.Client) error {
		w, index, err := parseCall(cmd, args)
		if err != nil {
			return err
		}
		var v shownCall
		if v.ExternalCall, err = c.Call(cmd.Context(), w.component, w.name, index); err != nil {
			return err
		}
		if stack {
			where, err := c.CallStack(cmd.Context(), w.component, w.name, index)
			if err != nil {
				return err
			}
			v.CallStack = &where
		}
		if asJSON {
			return writeJSON(a.stdout, v)
		}
		return a.printCall(r, v)
	})
}

// shownCall is a call, and where in the program it was made if that is asked for.
type shownCall struct {
	api.ExternalCall
	*api.CallStack
}

func (a *app) printCall(r *remote, v shownCall) error {
	paint := a.styleFor(a.stdout)
	t := a.fields()
	t.add("Call", fmt.Sprintf("%s of %s, entry %s", printable(v.Function), printable(v.Worker), commas(v.Index)))
	t.add("State", paint.callState(v.State, printable(string(v.State))))
	t.add("Request", printable(v.Request))
	t.addLines("", v.RequestDetail)
	if v.Key != "" {
		t.add("Key", printable(v.Key))
	}
	if v.Response != "" {
		t.add("Response", printable(v.Response))
		t.addLines("", v.ResponseDetail)
	}
	t.add("Began", a.when(v.Began))
	if v.Ended != nil {
		t.add("Ended", a.when(*v.Ended))
	}
	t.add("Performed", count(v.Attempts, "time", "times"))
	var repeats []string
	for _, again := range v.Repeats {
		repeats = append(repeats, fmt.Sprintf("%s: %s", a.when(again.At), again.Reason))
	}
	t.addLines("Again", repeats)
	if v.Called != "" {
		in := printable(v.Called)
		if v.Invocation != "" {
			in += fmt.Sprintf(", invocation %s, attempt %d", printable(v.Invocation), v.Attempt)
		}
		if v.Undone {
			in += ", which failed: for the worker's state it has not happened"
		}
		t.add("In", in)
	}
	if v.CallStack != nil {
		names := []string{}
		for _, name := range v.Functions {
			names = append(names, printable(name))
		}
		if len(names) == 0 {
			names = []string{"(none: the program was not in a function)"}
		}
		t.addLines("Stack", names)
	}
	if v.Held != nil {
		t.add("Held", "since "+a.when(*v.Held))
	}
	if said := v.Resolved; said != nil {
		t.add("Resolved", fmt.Sprintf("%s, %s", printable(string(said.How)), a.when(said.At)))
	}
	if v.State == api.CallHeld {
		t.add("Next", "find out what has become of it, and say so: "+r.hint("calls", "resolve", "--fail", v.Worker, strconv.FormatUint(v.Index, 10))+" (or --send-again, --done FILE)")
	}
	return t.write(a.stdout)
}

// resolveFlags are those of calls resolve.
type resolveFlags struct {
	done, response  string
	status          int
	headers         []string
	sendAgain, fail bool
}

func (a *app) callsResolveCommand() *cobra.Command {
	var o resolveFlags
	cmd := &cobra.Command{
		Use:   "resolve [flags] COMPONENT/WORKER INDEX",
		Short: "Say what becomes of a call that is held",
		Long: `Say what becomes of a call for which a worker waits, once you have found out
what has become of it where it went to. The worker goes on at once.

With --done FILE or --response JSON it was done, and the program goes on with
this response: the body in FILE (-: standard input) with --status and --header,
or all of it as {"status": 200, "headers": {"a": "b"}, "body": "..."}. With
--send-again it is sent again, with the same key. With --fail the program is
told that the connection was lost.

What you say is durable when the command ends, and takes effect once.`,
		Example: `  waterbear calls resolve shop/alice 17 --send-again
  waterbear calls resolve shop/alice 17 --done receipt.json --header a:b
  waterbear calls resolve shop/alice 17 --response '{"status": 201}'
  waterbear calls resolve shop/alice 17 --fail`,
		Args: oneCall(),
	}
	f := cmd.Flags()
	f.StringVar(&o.done, "done", "", "it was done, and the body of its response is in `FILE`")
	f.StringVar(&o.response, "response", "", "it was done, with this response, as `JSON`")
	f.IntVar(&o.status, "status", 200, "with --done: `NUMBER` of the response's status")
	f.StringArrayVar(&o.headers, "header", nil, "with --done: a header of the response, as `NAME:VALUE`")
	f.BoolVar(&o.sendAgain, "send-again", false, "send it again, with the same key")
	f.BoolVar(&o.fail, "fail", false, "tell the program that it failed")
	return a.remoteCommand(cmd, func(cmd *cobra.Command, args []string, _ *remote, c *client.Client) error {
		w, index, err := parseCall(cmd, args)
		if err != nil {
			return err
		}
		said, err := o.parse(a, cmd)
		if err != nil {
			return err
		}
		return c.ResolveCall(cmd.Context(), w.component, w.name, index, said)
	})
}

// maxGiven is the longest body that --done reads.
const maxGiven = 256 << 10

// parse makes what the flags say.
func (o *resolveFlags) parse(a *app, cmd *cobra.Command) (said api.Resolve, err error) {
	ways := 0
	for _, flag := range []string{"done", "response", "send-again", "fail"} {
		if cmd.Flags().Changed(flag) {
			ways++
		}
	}
	switch {
	case ways != 1:
		return said, misuse(cmd, "say what has become of the call, by one of --done FILE, --response JSON, --send-again and --fail")
	case o.sendAgain:
		return api.Resolve{How: api.ResolveSendAgain}, nil
	case o.fail:
		return api.Resolve{How: api.ResolveFail}, nil
	case cmd.Flags().Changed("response"):
		if !json.Valid([]byte(o.response)) {
			return said, misuse(cmd, "--response %s: want JSON, such as {\"status\": 200, \"body\": \"...\"}", shellQuote(o.response))
		}
		return api.Resolve{How: api.ResolveDone, Response: json.RawMessage(o.response)}, nil
	}
	headers := map[string][]string{}
	for _, h := range o.headers {
		name, value, ok := strings.Cut(h, ":")
		if name = strings.TrimSpace(name); !ok || name == "" {
			return said, misuse(cmd, "--header %s: want NAME:VALUE", shellQuote(h))
		}
		headers[name] = append(headers[name], strings.TrimSpace(value))
	}
	body, err := a.readGiven(o.done)
	if err != nil {
		return said, fmt.Errorf("read the body of the response: %w", err)
	}
	response, err := json.Marshal(struct {
		Status  int                 `json:"status"`
		Headers map[string][]string `json:"headers,omitempty"`
		Base64  []byte              `json:"base64"`
	}{o.status, headers, body})
	return api.Resolve{How: api.ResolveDone, Response: response}, err
}

func (a *app) readGiven(file string) ([]byte, error) {
	in := a.stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, maxGiven+1))
	if err == nil && len(b) > maxGiven {
		err = fmt.Errorf("it has more than %s", bytesText(maxGiven))
	}
	if b == nil {
		b = []byte{}
	}
	return b, err
}
