package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/client"
)

func (a *app) promiseCommand() *cobra.Command {
	return a.serverGroup("promise", "List, look at and settle the promises of a server's workers",
		`List, look at and settle the promises of the workers of a server. A promise is a
value that a program waits for, without memory and for as long as it takes. Its
name is COMPONENT/WORKER/PROMISE, which its program gives to those who are to
settle it: to complete it with a value, or to let it fail with a message, once.`,
		`  waterbear promise list shop/alice
  waterbear promise complete shop/alice/k7f3q2 '{"approved":true}'
  waterbear promise fail shop/alice/k7f3q2 'out of stock'`,
		a.promiseListCommand(), a.promiseGetCommand(), a.promiseCompleteCommand(), a.promiseFailCommand())
}

// promiseRef is component/worker/promise.
type promiseRef struct {
	workerRef
	promise string
}

func parsePromise(cmd *cobra.Command, arg string) (promiseRef, error) {
	i := strings.LastIndexByte(arg, '/')
	if i <= 0 || i == len(arg)-1 || !strings.Contains(arg[:i], "/") {
		return promiseRef{}, misuse(cmd, "%s names no promise; write COMPONENT/WORKER/PROMISE, as \"waterbear promise list\" does", shellQuote(arg))
	}
	w, err := parseWorker(cmd, arg[:i])
	return promiseRef{w, arg[i+1:]}, err
}

// onPromise makes a command on one promise, with further arguments.
func (a *app) onPromise(cmd *cobra.Command, do func(ctx context.Context, c *client.Client, p promiseRef, more []string) error) *cobra.Command {
	return a.remoteCommand(cmd, func(cmd *cobra.Command, args []string, _ *remote, c *client.Client) error {
		p, err := parsePromise(cmd, args[0])
		if err != nil {
			return err
		}
		return do(cmd.Context(), c, p, args[1:])
	})
}

func (a *app) promiseListCommand() *cobra.Command {
	var asJSON, pending bool
	cmd := &cobra.Command{
		Use:   "list [flags] COMPONENT/WORKER",
		Short: "List the promises of a worker",
		Long: `List the promises of a worker that are pending, or were settled and are still
known, in the order in which they were made.

--json prints one object per line and promise: promise, label, state, created,
invocation, awaited, and of one that is settled: settled, by, and failure if it
has failed.`,
		Example: `  waterbear promise list shop/alice
  waterbear promise list --pending --json shop/alice | jq -r .promise`,
	}
	cmd.Flags().BoolVar(&pending, "pending", false, "only those that are not settled")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per line")
	return a.onWorker(cmd, func(cmd *cobra.Command, c *client.Client, w workerRef) error {
		all, err := c.Promises(cmd.Context(), w.component, w.name)
		if err != nil {
			return err
		}
		list := all[:0]
		for _, p := range all {
			if !pending || p.State == api.PromisePending {
				list = append(list, p)
			}
		}
		if asJSON {
			return writeLines(a, list)
		}
		return a.printPromises(list)
	})
}

func (a *app) printPromises(list []api.Promise) error {
	t := a.listing(2)
	t.add("PROMISE", "STATE", "AGE", "AWAITED", "LABEL")
	for _, p := range list {
		awaited := "no"
		if p.Awaited {
			awaited = "yes"
		}
		t.add(printable(p.Promise), printable(string(p.State)), ago(p.Created, time.Now()), awaited, printable(p.Label))
	}
	return t.write(a.stdout)
}

func (a *app) promiseGetCommand() *cobra.Command {
	var asJSON, value bool
	cmd := &cobra.Command{
		Use:   "get [flags] COMPONENT/WORKER/PROMISE",
		Short: "Show a promise",
		Long: `Show a promise: what it is for, whether its worker waits for it, and what has
become of it, with its value.

--json prints one object: what "promise list --json" does, and value, or base64
if it is not UTF-8.`,
		Example: `  waterbear promise get shop/alice/k7f3q2
  waterbear promise get --value shop/alice/k7f3q2 | jq .`,
		Args: exactly(1, "one promise, as COMPONENT/WORKER/PROMISE"),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	cmd.Flags().BoolVar(&value, "value", false, "print the value alone, byte for byte")
	return a.onPromise(cmd, func(ctx context.Context, c *client.Client, p promiseRef, _ []string) error {
		found, err := c.Promise(ctx, p.component, p.name, p.promise)
		switch {
		case err != nil:
			return err
		case value && found.State != api.PromiseCompleted:
			return fmt.Errorf("%s has no value: it is %s", found.Promise, found.State)
		case value:
			_, err := a.stdout.Write(valueOf(found))
			return err
		case asJSON:
			return writeJSON(a.stdout, found)
		}
		return a.printPromise(found)
	})
}

func valueOf(p api.Promise) []byte {
	if p.Value != nil {
		return []byte(*p.Value)
	}
	return p.Base64
}

func (a *app) printPromise(p api.Promise) error {
	t := a.fields()
	t.add("Promise", printable(p.Promise))
	t.add("Label", printable(p.Label))
	t.add("State", printable(string(p.State)))
	if p.Awaited {
		t.add("Awaited", "its worker waits for it")
	}
	t.add("Created", a.when(p.Created))
	if p.Invocation != "" {
		t.add("Invocation", printable(p.Invocation))
	}
	if p.Settled != nil {
		t.add("Settled", a.when(*p.Settled)+" by "+printable(p.By))
	}
	switch {
	case p.State == api.PromiseFailed:
		t.add("Failure", printable(p.Failure))
	case p.Value != nil:
		t.add("Value", printable(*p.Value))
	case p.Base64 != nil:
		t.add("Value", bytesText(uint64(len(p.Base64)))+" that are no text; --value prints them")
	}
	return t.write(a.stdout)
}

// maxValue bounds what is read as a value, in bytes; the server takes less.
const maxValue = 1 << 20

func (a *app) promiseCompleteCommand() *cobra.Command {
	var key, file string
	cmd := &cobra.Command{
		Use:   "complete [flags] COMPONENT/WORKER/PROMISE [VALUE]",
		Short: "Complete a promise with a value, once",
		Long: `Complete a promise with a value, which is any text, or any bytes of a file; many
programs expect JSON. Without a value it is empty. A worker that waits for the
promise goes on.

A promise is settled once: whoever comes later is told who did that. Whoever may
have to repeat the command gives a key, and is told the same again.`,
		Example: `  waterbear promise complete shop/alice/k7f3q2 '{"approved":true}'
  waterbear promise complete --key mail-17 --file photo.png shop/alice/k7f3q2
  date | waterbear promise complete --file - shop/alice/k7f3q2`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 1 || len(args) > 2 {
				return misuse(cmd, "wants COMPONENT/WORKER/PROMISE and a value")
			}
			return nil
		},
	}
	cmd.Flags().Var((*idempotencyKey)(&key), "key", "idempotency `KEY`, to be able to repeat the command")
	cmd.Flags().StringVar(&file, "file", "", "the value is what is in `FILE`; -: what comes on standard input")
	return a.onPromise(cmd, func(ctx context.Context, c *client.Client, p promiseRef, more []string) error {
		var value []byte
		switch {
		case file != "" && len(more) > 0:
			return misuse(cmd, "there are both a value and --file; give one of them")
		case file != "":
			var err error
			if value, err = a.readValue(file); err != nil {
				return err
			}
		case len(more) > 0:
			value = []byte(more[0])
		}
		_, err := c.SettlePromise(ctx, p.component, p.name, p.promise, api.Settlement{Value: value, Key: key})
		return err
	})
}

// readValue reads a file, or standard input as -.
func (a *app) readValue(file string) ([]byte, error) {
	var from io.Reader = a.stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		from = f
	}
	value, err := io.ReadAll(io.LimitReader(from, maxValue+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read the value: %w", err)
	case len(value) > maxValue:
		return nil, fmt.Errorf("the value has more than %s", bytesText(maxValue))
	}
	return value, nil
}

func (a *app) promiseFailCommand() *cobra.Command {
	var key string
	cmd := &cobra.Command{
		Use:   "fail [flags] COMPONENT/WORKER/PROMISE MESSAGE",
		Short: "Let a promise fail, once",
		Long: `Let a promise fail: its program gets the message in place of a value. Of once,
and of keys, it is as of "promise complete".`,
		Example: `  waterbear promise fail shop/alice/k7f3q2 'out of stock'`,
		Args:    exactly(2, "COMPONENT/WORKER/PROMISE and a message"),
	}
	cmd.Flags().Var((*idempotencyKey)(&key), "key", "idempotency `KEY`, to be able to repeat the command")
	return a.onPromise(cmd, func(ctx context.Context, c *client.Client, p promiseRef, more []string) error {
		_, err := c.SettlePromise(ctx, p.component, p.name, p.promise, api.Settlement{Failed: true, Value: []byte(more[0]), Key: key})
		return err
	})
}
