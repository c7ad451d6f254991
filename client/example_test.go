package client_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/client"
)

func Example() {
	c, err := client.New(client.Config{URL: "http://127.0.0.1:4004", Token: os.Getenv("WATERBEAR_TOKEN")})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	module, err := os.ReadFile("shop.wasm")
	if err != nil {
		log.Fatal(err)
	}
	if _, err := c.Deploy(ctx, "shop", module, nil); err != nil {
		log.Fatal(err)
	}

	// The worker shop/alice is made by its first invocation.
	done, err := c.Invoke(ctx, "shop", "alice", api.Call{Function: "add", Args: json.RawMessage("[2, 3]")})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(done.Result))
}

func ExampleClient_Invoke_later() {
	c, err := client.New(client.Config{})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	// With a key of our own, this can be repeated without harm: also by another
	// process, after this one has crashed.
	order := api.Call{Function: "pay", Args: json.RawMessage("[1200]"), Key: "order-1047", Async: true}
	if _, err := c.Invoke(ctx, "shop", "alice", order); err != nil {
		log.Fatal(err)
	}
	done, err := c.Await(ctx, "shop", "alice", order.Key)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(done.State, string(done.Result))
}

func ExampleClient_Logs() {
	c, err := client.New(client.Config{})
	if err != nil {
		log.Fatal(err)
	}
	for chunk, err := range c.Logs(context.Background(), "shop", "alice", api.Range{Follow: true}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Print(chunk.Text)
	}
}
