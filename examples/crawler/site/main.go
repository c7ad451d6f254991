// Site is what the crawler crawls: pages that link to each other, all of them to be
// found from /. The page /7 has seven words, and one more for each link.
package main

import (
	"flag"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/waterbear-run/waterbear/examples/flaky"
)

func main() {
	pages := flag.Int("pages", 1000, "how many there are")
	flaky.Serve(func(path string, _ []byte) (int, string) {
		number, err := strconv.Atoi(strings.TrimPrefix(path, "/"))
		if path == "/" {
			number, err = 0, nil
		}
		if err != nil || number < 0 || number >= *pages {
			return http.StatusNotFound, "there is no such page"
		}
		return http.StatusOK, page(number, *pages)
	})
}

func page(number, pages int) string {
	var html strings.Builder
	fmt.Fprintf(&html, "<p>%s</p>\n", strings.Repeat("word ", number))
	for _, link := range []int{2*number + 1, 2*number + 2} {
		if link < pages {
			fmt.Fprintf(&html, "<a href=\"/%d\">more</a>\n", link)
		}
	}
	return html.String() + "<a href=\"/\">home</a>\n"
}
