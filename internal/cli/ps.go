package cli

import (
	"fmt"
	"strconv"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/waterbear-run/waterbear"
)

func (a *app) psCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "ps [flags]",
		GroupID: groupRead,
		Short:   "List the workers",
		Long: `List the workers of a state directory, by name.

--json prints one object per line and worker: name, status ("Running",
"Interrupted", "Failed" or "Exited"), reason, exitCode once it has exited, args,
entries, created and changed. "waterbear inspect --json" tells the rest.`,
		Example: `  waterbear ps
  waterbear ps --json | jq -r 'select(.status == "Failed") | .name'`,
		Args: exactly(0, "no arguments"),
	}
	state := stateFlag(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per line")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return a.reading(cmd.Context(), *state, nil, func(node *waterbear.Node) error {
			workers, err := node.Workers(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				for _, w := range workers {
					if err := writeJSON(a.stdout, summaryOf(w)); err != nil {
						return err
					}
				}
				return nil
			}
			return a.printWorkers(workers, time.Now())
		})
	}
	return cmd
}

// summary is what ps --json prints of a worker: what is known without reading
// its whole oplog.
type summary struct {
	Name     string           `json:"name"`
	Status   waterbear.Status `json:"status"`
	Reason   string           `json:"reason"`
	ExitCode *int             `json:"exitCode,omitempty"`
	Args     []string         `json:"args"`
	Entries  uint64           `json:"entries"`
	Created  time.Time        `json:"created"`
	Changed  time.Time        `json:"changed"`
}

func summaryOf(w waterbear.Worker) summary {
	return summary{w.Name, w.Status, w.Reason, w.ExitCode, listed(w.Args), w.Entries, w.Created, w.Changed}
}

func (a *app) printWorkers(workers []waterbear.Worker, now time.Time) error {
	paint := a.styleFor(a.stdout)
	t := table{
		right: map[int]bool{2: true, 3: true},
		paint: func(row, column int, text string) string {
			switch {
			case row == 0:
				return paint.dim(text)
			case column == 0:
				return paint.bold(text)
			case column == 1:
				return paint.status(workers[row-1], text)
			}
			return text
		},
	}
	t.add("NAME", "STATUS", "EXIT", "ENTRIES", "CHANGED", "REASON")
	for _, w := range workers {
		code, reason := "-", w.Reason
		if w.ExitCode != nil {
			code, reason = strconv.Itoa(*w.ExitCode), "" // which the column before says
		}
		t.add(printable(workerName(w.Name)), string(w.Status), code, commas(w.Entries), ago(w.Changed, now), printable(reason))
	}
	return t.write(a.stdout)
}

// ago says how long before now it was.
func ago(at, now time.Time) string {
	if at.IsZero() {
		return "-"
	}
	return humanize.RelTime(at, now, "ago", "from now")
}

// status colours a status by whether a person should care.
func (s style) status(w waterbear.Worker, text string) string {
	switch {
	case w.Status == waterbear.Running:
		return s.cyan(text)
	case w.Status == waterbear.Interrupted:
		return s.yellow(text)
	case w.Status == waterbear.Failed, w.ExitCode != nil && *w.ExitCode != 0:
		return s.red(text)
	default:
		return s.green(text)
	}
}

// statusText is a worker's status on a few words.
func statusText(w waterbear.Worker) string {
	if w.Status == waterbear.Exited && w.ExitCode != nil {
		return fmt.Sprintf("%s with code %d", w.Status, *w.ExitCode)
	}
	return string(w.Status)
}
