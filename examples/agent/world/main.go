// World is what the agent lives in: a model, which knows how to arrange a dinner
// and decides by what was said alone, and the tools that it lets the agent call.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/waterbear-run/waterbear/examples/flaky"
)

var day = flag.Duration("day", 24*time.Hour, "how long a day takes")

func main() {
	flaky.Serve(func(path string, body []byte) (int, string) {
		tool, isTool := strings.CutPrefix(path, "/tools/")
		switch {
		case path == "/model":
			return model(body)
		case isTool:
			return use(tool, body)
		}
		return http.StatusNotFound, "there is nothing here"
	})
}

type message struct {
	Who  string `json:"who"`
	Text string `json:"text"`
}

// step is what the model wants the agent to do.
type step struct {
	Do      string  `json:"do"`
	Tool    string  `json:"tool,omitempty"`
	About   string  `json:"about"`
	Seconds float64 `json:"seconds,omitempty"`
}

// model says what to do next, by what was said since the task.
func model(body []byte) (int, string) {
	var q struct{ Said []message }
	if err := json.Unmarshal(body, &q); err != nil {
		return http.StatusBadRequest, err.Error()
	}
	var guests []string
	var results []message // of its steps
	for _, m := range q.Said {
		switch m.Who {
		case "task":
			_, names, _ := strings.Cut(m.Text, " for ")
			guests, results = strings.Split(names, ", "), nil
		case "agent":
		default:
			results = append(results, m)
		}
	}
	return http.StatusOK, flaky.JSON(plan(guests, results))
}

func plan(guests []string, results []message) step {
	done := len(results)
	if done < 2 {
		return []step{
			{Do: "call", Tool: "search", About: fmt.Sprintf("a table for %d", len(guests))},
			{Do: "ask", About: fmt.Sprintf("May I pay %d euros in advance?", 20*len(guests))},
		}[done]
	}
	if answer := results[1].Text; strings.HasPrefix(answer, "no") {
		return step{Do: "end", About: "There is no dinner: " + answer}
	}
	if done == 2 {
		return step{Do: "call", Tool: "pay", About: fmt.Sprintf("%d euros for %s", 20*len(guests), results[0].Text)}
	}
	if invited := done - 3; invited < len(guests) {
		return step{Do: "call", Tool: "invite", About: guests[invited]}
	}
	switch done - 3 - len(guests) {
	case 0:
		return step{Do: "wait", About: "for three weeks", Seconds: 21 * day.Seconds()}
	case 1:
		return step{Do: "call", Tool: "remind", About: strings.Join(guests, ", ")}
	}
	return step{Do: "end", About: fmt.Sprintf("%d guests will be at %s", len(guests), results[0].Text)}
}

// use does what a tool does.
func use(tool string, body []byte) (int, string) {
	var q struct{ Input string }
	if err := json.Unmarshal(body, &q); err != nil {
		return http.StatusBadRequest, err.Error()
	}
	outputs := map[string]string{
		"search": "Trattoria Lentini",
		"pay":    "paid " + q.Input,
		"invite": q.Input + " will come",
		"remind": "reminded " + q.Input,
	}
	output, ok := outputs[tool]
	if !ok {
		return http.StatusNotFound, "there is no tool " + tool
	}
	return http.StatusOK, flaky.JSON(map[string]string{"output": output})
}
