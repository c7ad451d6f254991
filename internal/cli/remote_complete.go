package cli

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/client"
)

// A person who presses Tab waits at most so long, and reads at most so many.
const (
	completionTime  = 2 * time.Second
	completionLimit = 100
)

// completion offers what the usage line of a command wants.
func (r *remote) completion(use string) cobra.CompletionFunc {
	switch {
	case strings.Contains(use, "COMPONENT/WORKER FUNCTION"):
		return func(cmd *cobra.Command, args []string, start string) ([]string, cobra.ShellCompDirective) {
			if len(args) != 1 {
				return r.complete(1, offerWorkers)(cmd, args, start)
			}
			return r.complete(0, func(ctx context.Context, c *client.Client, start string) []string {
				return offerFunctions(ctx, c, args[0], start)
			})(cmd, args, start)
		}
	case strings.HasSuffix(use, "COMPONENT/WORKER..."):
		return r.complete(0, offerWorkers)
	case strings.Contains(use, "COMPONENT/WORKER"):
		return r.complete(1, offerWorkers)
	case strings.HasSuffix(use, "COMPONENT..."):
		return r.complete(0, offerComponents)
	case strings.HasSuffix(use, "COMPONENT"), strings.HasSuffix(use, "COMPONENT[@REVISION]"):
		return r.complete(1, offerComponents)
	}
	return cobra.NoFileCompletions
}

// complete makes a completion that asks the server. What goes wrong means there
// is nothing to offer. limit is how many arguments may be one (0: any number).
func (r *remote) complete(limit int, offer func(ctx context.Context, c *client.Client, start string) []string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, start string) ([]string, cobra.ShellCompDirective) {
		if limit > 0 && len(args) >= limit {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		c, err := r.connect()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		defer c.Close()
		ctx, cancel := context.WithTimeout(cmd.Context(), completionTime)
		defer cancel()
		return offer(ctx, c, start), cobra.ShellCompDirectiveNoFileComp
	}
}

// offerComponents offers the names of components.
func offerComponents(ctx context.Context, c *client.Client, start string) []string {
	var names []string
	all, _ := c.Components(ctx)
	for _, one := range all {
		if strings.HasPrefix(one.Name, start) {
			names = append(names, printable(one.Name)+"\t"+printable(string(one.Latest.Kind)))
		}
	}
	return names
}

// offerWorkers offers COMPONENT/WORKER.
func offerWorkers(ctx context.Context, c *client.Client, start string) []string {
	var names []string
	var filter api.WorkerFilter
	if component, name, ok := strings.Cut(start, "/"); ok {
		filter = api.WorkerFilter{Component: component, Name: name + "*"}
	}
	for w, err := range atMost(c.Workers(ctx, filter), completionLimit) {
		if name := w.Component + "/" + w.Name; err == nil && strings.HasPrefix(name, start) {
			names = append(names, printable(name)+"\t"+printable(string(w.Status)))
		}
	}
	return names
}

// offerFunctions offers the functions that a worker's component exports.
func offerFunctions(ctx context.Context, c *client.Client, worker, start string) []string {
	component, name, _ := strings.Cut(worker, "/")
	revision, err := revisionOf(ctx, c, workerRef{component, name})
	if err != nil {
		return nil
	}
	var names []string
	for _, f := range revision.Exports {
		if strings.HasPrefix(f.Name, start) {
			names = append(names, printable(f.Name)+"\t"+printable(signature(revision.Kind, f)))
		}
	}
	return names
}
