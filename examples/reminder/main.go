// A reminder: it asks for an answer, waits for it without memory, and gives up
// after a while. What was answered is counted by another worker.
package main

import (
	"errors"
	"fmt"
	"time"

	waterbear "github.com/waterbear-run/waterbear/guest/go"
)

func main() {}

// counter is the worker that counts answers, of the example counter.
const counter = "counter/reminders"

// remind gives 1 if it was answered in time, and 0 otherwise.
//
//go:wasmexport remind
func remind(seconds uint32) uint32 {
	answer, err := waterbear.NewPromise("whether it is done")
	if err != nil {
		panic(err)
	}
	// Who gets this twice, after a crash, can tell so by the key.
	fmt.Printf("%s, are you done? Answer %s (message %s)\n", waterbear.Current().Name, answer, waterbear.IdempotencyKey())
	first, err := waterbear.WaitAny(time.Duration(seconds)*time.Second, answer)
	switch {
	case err != nil:
		panic(err)
	case first < 0:
		// From now on an answer is refused.
		if err := answer.Withdraw(); err != nil {
			panic(err)
		}
		fmt.Println("no answer")
		return 0
	}
	said, err := answer.Wait()
	if failed := (*waterbear.Failed)(nil); errors.As(err, &failed) {
		fmt.Printf("not to be answered: %s\n", failed.Message)
		return 0
	} else if err != nil {
		panic(err)
	}
	count, err := waterbear.Invoke(counter, "add", "[1]")
	if err != nil {
		panic(err)
	}
	fmt.Printf("answered: %s; answers so far: %s\n", said, count)
	return 1
}
