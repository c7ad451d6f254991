// Services are what an order needs: stock, payment and shipping. What they are asked
// is an order's number and what is ordered.
package main

import (
	"flag"
	"math/rand/v2"
	"net/http"
	"strings"

	"github.com/waterbear-run/waterbear/examples/flaky"
)

func main() {
	refuse := flag.Float64("refuse", 0, "the part of what is asked for that they refuse")
	flaky.Serve(func(path string, order []byte) (int, string) {
		switch path {
		case "/stock/release", "/payment/refund":
		case "/stock/reserve", "/payment/charge", "/shipping/ship":
			if path == "/shipping/ship" && strings.HasSuffix(string(order), " piano") {
				return http.StatusConflict, "nobody carries a piano"
			}
			if rand.Float64() < *refuse {
				return http.StatusConflict, path + " is not possible today"
			}
		default:
			return http.StatusNotFound, "there is nothing here"
		}
		return http.StatusOK, "done"
	})
}
