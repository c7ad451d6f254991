// Command worker has the workloads of test/peers as workflows of Temporal, and says
// to its client what the driver says over HTTP: Temporal itself is spoken to by gRPC
// alone. That step costs about a tenth of a millisecond of CPU for each call.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

const queue = "peers"

func mark(event, id string) {
	if r, err := http.Get("http://" + os.Getenv("MARKS") + "/mark/" + event + "/" + id); err == nil {
		_ = r.Body.Close()
	}
}

// step and next are the activities.
func step(_ context.Context, i int) (int, error) { return i, nil }

func next(_ context.Context, id string) (string, error) {
	mark("next", id)
	return "next", nil
}

// counter is one workflow for each key, which begins anew when its history is long.
func counter(ctx workflow.Context, total int) error {
	err := workflow.SetUpdateHandler(ctx, "add", func(workflow.Context, int) (int, error) {
		total++
		return total, nil
	})
	if err != nil {
		return err
	}
	if err := workflow.Await(ctx, func() bool {
		return workflow.GetInfo(ctx).GetContinueAsNewSuggested() && workflow.AllHandlersFinished(ctx)
	}); err != nil {
		return err
	}
	return workflow.NewContinueAsNewError(ctx, counter, total)
}

// flow has activities as its steps.
func flow(ctx workflow.Context, n int) (err error) {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: 10 * time.Second})
	for i := 0; i < n && err == nil; i++ {
		err = workflow.ExecuteActivity(ctx, step, i).Get(ctx, nil)
	}
	return err
}

// sleeper has local activities: the history of a workflow may not be as long as
// 10,000 others make it. With steps it says when they are done, and that it goes on
// behind the wait.
func sleeper(ctx workflow.Context, n int) (err error) {
	ctx = workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{StartToCloseTimeout: 10 * time.Second})
	for i := 0; i < n && err == nil; i++ {
		err = workflow.ExecuteLocalActivity(ctx, step, i).Get(ctx, nil)
	}
	id := workflow.GetInfo(ctx).WorkflowExecution.ID
	if n > 0 && err == nil {
		mark("steps", id)
	}
	s := workflow.NewSelector(ctx)
	s.AddFuture(workflow.NewTimer(ctx, time.Hour), func(workflow.Future) {})
	s.AddReceive(workflow.GetSignalChannel(ctx, "wake"), func(c workflow.ReceiveChannel, _ bool) { c.Receive(ctx, nil) })
	s.Select(ctx)
	if n > 0 && err == nil {
		err = workflow.ExecuteLocalActivity(ctx, next, id).Get(ctx, nil)
	}
	return err
}

func echo(_ workflow.Context, text string) (string, error) { return text, nil }

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: worker ADDRESS")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "temporal-worker:", err)
		os.Exit(1)
	}
}

func run(address string) error {
	c, err := connect()
	if err != nil {
		return err
	}
	w := worker.New(c, queue, worker.Options{
		MaxConcurrentActivityExecutionSize: 1000, MaxConcurrentWorkflowTaskExecutionSize: 1000,
		MaxConcurrentWorkflowTaskPollers: 16, MaxConcurrentActivityTaskPollers: 16,
	})
	for name, f := range map[string]any{"counter": counter, "flow": flow, "sleeper": sleeper, "echo": echo} {
		w.RegisterWorkflowWithOptions(f, workflow.RegisterOptions{Name: name})
	}
	w.RegisterActivity(step)
	w.RegisterActivity(next)
	if err := w.Start(); err != nil {
		return err
	}
	defer w.Stop()
	server := &http.Server{Addr: address, Handler: (&front{client: c}).handler(), ReadHeaderTimeout: time.Minute}
	return server.ListenAndServe()
}

// connect waits until the server is there.
func connect() (c client.Client, err error) {
	options := client.Options{Logger: log.NewStructuredLogger(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})))}
	for range 3000 {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		c, err = client.DialContext(ctx, options)
		cancel()
		if err == nil {
			return c, nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return nil, err
}

// front says verbs to Temporal.
type front struct {
	client   client.Client
	counters sync.Map // those that have been started
}

func (f *front) handler() http.Handler {
	mux := http.NewServeMux()
	verb := func(pattern string, say func(r *http.Request) (any, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			answer, err := say(r)
			if err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			fmt.Fprint(w, answer)
		})
	}
	verb("GET /health", func(*http.Request) (any, error) { return "ok", nil })
	verb("POST /add/{key}", func(r *http.Request) (any, error) { return f.add(r.Context(), r.PathValue("key")) })
	verb("POST /flow/{id}/{n}", func(r *http.Request) (any, error) { return f.run(r, "flow") })
	verb("POST /sleep/{id}/{n}", func(r *http.Request) (any, error) {
		_, err := f.start(r, "sleeper")
		return "", err
	})
	verb("POST /wake/{id}", func(r *http.Request) (any, error) {
		return "", f.client.SignalWorkflow(r.Context(), r.PathValue("id"), "", "wake", nil)
	})
	verb("GET /woken/{id}", func(r *http.Request) (any, error) {
		return "", f.client.GetWorkflow(r.Context(), r.PathValue("id"), "").Get(r.Context(), nil)
	})
	verb("POST /echo", func(r *http.Request) (text any, err error) {
		started, err := f.client.ExecuteWorkflow(r.Context(), client.StartWorkflowOptions{TaskQueue: queue}, "echo", "hi")
		if err == nil {
			err = started.Get(r.Context(), &text)
		}
		return text, err
	})
	return mux
}

func (f *front) start(r *http.Request, name string) (client.WorkflowRun, error) {
	n, err := strconv.Atoi(r.PathValue("n"))
	if err != nil {
		return nil, err
	}
	return f.client.ExecuteWorkflow(r.Context(), client.StartWorkflowOptions{ID: r.PathValue("id"), TaskQueue: queue}, name, n)
}

func (f *front) run(r *http.Request, name string) (any, error) {
	started, err := f.start(r, name)
	if err == nil {
		err = started.Get(r.Context(), nil)
	}
	return "", err
}

func (f *front) add(ctx context.Context, key string) (total int, err error) {
	if _, ok := f.counters.Load(key); !ok {
		_, err := f.client.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
			ID: key, TaskQueue: queue, WorkflowIDConflictPolicy: enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
		}, "counter", 0)
		if err != nil {
			return 0, err
		}
		f.counters.Store(key, true)
	}
	h, err := f.client.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{
		WorkflowID: key, UpdateName: "add", Args: []any{1}, WaitForStage: client.WorkflowUpdateStageCompleted,
	})
	if err == nil {
		err = h.Get(ctx, &total)
	}
	return total, err
}
