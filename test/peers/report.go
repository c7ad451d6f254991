//go:build linux

package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
)

// printReport prints a table for each workload: medians over the rounds, and behind
// them the smallest and the largest.
func printReport(w io.Writer, file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	var points []point
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var p point
		if err := json.Unmarshal(lines.Bytes(), &p); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		points = append(points, p)
	}
	if err := lines.Err(); err != nil {
		return err
	}
	for _, t := range tables(points) {
		if err := t.print(w); err != nil {
			return err
		}
	}
	return nil
}

// setting is what points have in common whose figures are compared.
type setting struct {
	workload string
	clients  int
	steps    int
	mode     string
}

func (s setting) String() string {
	text := s.workload
	if s.clients > 0 {
		text += fmt.Sprintf(", %d clients", s.clients)
	}
	if s.steps > 0 {
		text += fmt.Sprintf(", %d steps", s.steps)
	}
	if s.mode != "" {
		text += ", killed: " + s.mode
	}
	return text
}

// table has a row for each column and a cell for each figure: its values.
type table struct {
	setting setting
	columns []string
	figures []string
	values  map[[2]string][]float64
	rounds  map[string]int
}

// tables are in the order in which their settings appear.
func tables(points []point) (list []*table) {
	for _, p := range points {
		s := setting{p.Workload, p.Clients, p.Steps, p.Mode}
		i := slices.IndexFunc(list, func(t *table) bool { return t.setting == s })
		if i < 0 {
			i = len(list)
			list = append(list, &table{setting: s, values: map[[2]string][]float64{}, rounds: map[string]int{}})
		}
		list[i].add(&p)
	}
	slices.SortStableFunc(list, func(a, b *table) int { return cmp.Compare(a.setting.workload, b.setting.workload) })
	return list
}

func (t *table) add(p *point) {
	if !slices.Contains(t.columns, p.Column) {
		t.columns = append(t.columns, p.Column)
	}
	t.rounds[p.Column]++
	for name, v := range p.Figures {
		if !slices.Contains(t.figures, name) {
			t.figures = append(t.figures, name)
			slices.Sort(t.figures)
		}
		t.values[[2]string{p.Column, name}] = append(t.values[[2]string{p.Column, name}], v)
	}
}

func (t *table) print(w io.Writer) error {
	out := tabwriter.NewWriter(w, 0, 0, 1, ' ', 0)
	fmt.Fprintf(out, "\n%s\n\n| column\t| rounds\t| %s\t|\n|---\t|---\t|%s\n", t.setting, strings.Join(t.figures, "\t| "), strings.Repeat("---\t|", len(t.figures)))
	for _, c := range t.columns {
		fmt.Fprintf(out, "| %s\t| %d\t|", c, t.rounds[c])
		for _, f := range t.figures {
			fmt.Fprintf(out, " %s\t|", cell(t.values[[2]string{c, f}]))
		}
		fmt.Fprintln(out)
	}
	return out.Flush()
}

// cell is the median of values, and their range if they differ.
func cell(v []float64) string {
	if len(v) == 0 {
		return ""
	}
	v = slices.Sorted(slices.Values(v))
	text := short(v[len(v)/2])
	if low, high := short(v[0]), short(v[len(v)-1]); low != high {
		text += fmt.Sprintf(" (%s–%s)", low, high)
	}
	return text
}

// short is a number with three significant digits.
func short(v float64) string {
	switch {
	case v >= 100 || v <= -100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10 || v <= -10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.3g", v)
}
