package waterbear_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"

	"github.com/waterbear-run/waterbear"
	"github.com/waterbear-run/waterbear/api"
)

// stateOf is where an example keeps its workers: elsewhere for each.
func stateOf() (dir string, remove func()) {
	dir, err := os.MkdirTemp("", "waterbear-example-")
	if err != nil {
		log.Fatal(err)
	}
	return dir, func() { _ = os.RemoveAll(dir) }
}

// A program runs as a worker that has a name. Whatever happens to this process
// meanwhile, running the same command again goes on where the worker was.
func Example() {
	program, err := os.ReadFile("examples/countdown/countdown.wasm")
	if err != nil {
		log.Fatal(err)
	}
	dir, remove := stateOf()
	defer remove()
	ctx := context.Background()
	node, err := waterbear.Open(ctx, waterbear.Options{Dir: dir})
	if err != nil {
		log.Fatal(err)
	}
	defer node.Close()

	exit, err := node.Run(ctx, waterbear.Command{
		Name: "launch", Program: program, Args: []string{"countdown", "3", "1"}, Stdout: os.Stdout,
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("exit code", exit.Code)
	// Output:
	// 3
	// 2
	// 1
	// lift-off
	// exit code 0
}

// An interrupted worker keeps all that it did, and its next run goes on behind
// that, here after a step of its countdown.
func ExampleNode_Run_resume() {
	program, err := os.ReadFile("examples/countdown/countdown.wasm")
	if err != nil {
		log.Fatal(err)
	}
	dir, remove := stateOf()
	defer remove()
	node, err := waterbear.Open(context.Background(), waterbear.Options{Dir: dir})
	if err != nil {
		log.Fatal(err)
	}
	defer node.Close()

	ctx, interrupt := context.WithCancelCause(context.Background())
	command := waterbear.Command{
		Name: "launch", Program: program, Args: []string{"countdown", "2", "1000"},
		Stdout: writer(func(p []byte) {
			fmt.Printf("%s", p)
			interrupt(waterbear.ErrInterrupted)
		}),
	}
	_, err = node.Run(ctx, command)
	fmt.Println("interrupted:", errors.Is(err, waterbear.ErrInterrupted))

	worker, err := node.Worker(context.Background(), "launch")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(worker.Status)

	command.Stdout = os.Stdout
	if _, err := node.Run(context.Background(), command); err != nil {
		log.Fatal(err)
	}
	// Output:
	// 2
	// interrupted: true
	// Interrupted
	// 1
	// lift-off
}

// writer is a function that takes output.
type writer func(p []byte)

func (w writer) Write(p []byte) (int, error) {
	w(p)
	return len(p), nil
}

// What a worker printed, each step it took and the files it left can be read
// while it runs and long after.
func ExampleNode_Oplog() {
	program, err := os.ReadFile("examples/countdown/countdown.wasm")
	if err != nil {
		log.Fatal(err)
	}
	dir, remove := stateOf()
	defer remove()
	ctx := context.Background()
	node, err := waterbear.Open(ctx, waterbear.Options{Dir: dir})
	if err != nil {
		log.Fatal(err)
	}
	defer node.Close()
	if _, err := node.Run(ctx, waterbear.Command{Name: "launch", Program: program, Args: []string{"countdown", "1", "1"}}); err != nil {
		log.Fatal(err)
	}
	for entry, err := range node.Oplog(ctx, "launch", waterbear.ReadOptions{}) {
		if err != nil {
			log.Fatal(err)
		}
		if entry.Kind == "Log" || entry.Kind == "Exited" {
			fmt.Println(entry.Kind, entry.Text)
		}
	}
	// Output:
	// Log stdout "1\n"
	// Log stderr "countdown: 0 of 1 steps left\n"
	// Log stdout "lift-off\n"
	// Exited code 0
}

// A worker of a deployed component keeps its memory and its files from one
// invocation to the next, and over restarts of the node.
func ExamplePlatform() {
	module, err := os.ReadFile("examples/counter/counter.wasm")
	if err != nil {
		log.Fatal(err)
	}
	dir, remove := stateOf()
	defer remove()
	ctx := context.Background()
	for range 2 { // the second time as after a restart
		node, err := waterbear.Open(ctx, waterbear.Options{Dir: dir, Platform: &waterbear.PlatformOptions{}})
		if err != nil {
			log.Fatal(err)
		}
		platform := node.Platform()
		if _, err := platform.Deploy(ctx, "counter", module, nil); err != nil {
			log.Fatal(err)
		}
		done, err := platform.Invoke(ctx, "counter", "alice", api.Call{Function: "add", Args: json.RawMessage("[2]")})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(done.State, string(done.Result))
		if err := node.Close(); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// Finished [2]
	// Finished [4]
}
