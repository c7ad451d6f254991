package cli

import (
	"fmt"
	"io"
	"strings"

	yaml "go.yaml.in/yaml/v3"
)

// print writes the configuration as a file that gives the same one, with where
// each value comes from behind it.
func (c *config) print(w io.Writer) error {
	root := &yaml.Node{Kind: yaml.MappingNode}
	groups := map[string]*yaml.Node{"": root}
	for _, s := range c.settings {
		group, name, nested := strings.Cut(s.key, ".")
		if !nested {
			group, name = "", s.key
		}
		if groups[group] == nil {
			groups[group] = &yaml.Node{Kind: yaml.MappingNode}
			root.Content = append(root.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: group}, groups[group])
		}
		v := &yaml.Node{Kind: yaml.ScalarNode, Value: s.text(), LineComment: "# " + printable(s.from)}
		switch s.value.(type) {
		case written, choice, list, patterns, origins, rules:
			v.Tag = "!!str" // quoted where it looks like anything else
		}
		groups[group].Content = append(groups[group].Content, &yaml.Node{Kind: yaml.ScalarNode, Value: name}, v)
	}
	e := yaml.NewEncoder(w)
	e.SetIndent(2)
	if err := e.Encode(root); err != nil {
		return err
	}
	return e.Close()
}

// standard is how the documentation shows a default.
func (s *setting) standard() string {
	if s.preset == "" {
		return ""
	}
	return " (default " + s.preset + ")"
}

// settingsTable is the part of the help that tells of all settings.
func settingsTable(settings []*setting) string {
	var b strings.Builder
	row := func(flag, variable, key string) { fmt.Fprintf(&b, "%-23s  %-31s  %s\n", flag, variable, key) }
	row("Flag", "Variable", "Key")
	for _, s := range settings {
		row("--"+s.flag(), s.variable(), s.key)
		fmt.Fprintf(&b, "    %s  %s%s\n", s.arg, s.meaning, s.standard())
	}
	return strings.TrimRight(b.String(), "\n")
}
