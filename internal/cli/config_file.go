package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	yaml "go.yaml.in/yaml/v3"
)

// maxConfigFile bounds the configuration file, which has a line per setting.
const maxConfigFile = 1 << 20

// loadFile takes what a configuration file says, and tells all that is wrong
// with it.
func (c *config) loadFile(name string) []error {
	content, err := readBounded(name, maxConfigFile)
	if err != nil {
		return []error{fmt.Errorf("read the configuration: %w", err)}
	}
	return c.takeFile(name, content)
}

func (c *config) takeFile(name string, content []byte) []error {
	root, err := parseConfig(name, content)
	if err != nil {
		return []error{err}
	}
	if root == nil {
		return nil
	}
	f := configFile{config: c, name: name, seen: map[string]int{}}
	f.group(root, "")
	return f.wrong
}

// readBounded reads a file that may not be longer than most.
func readBounded(name string, most int64) ([]byte, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, most+1))
	if err == nil && int64(len(content)) > most {
		err = fmt.Errorf("%s: has more than %s", name, bytesText(uint64(most)))
	}
	return content, err
}

// yamlError is how the parser says where something is wrong.
var yamlError = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)`)

// parseConfig gives the one document in content, or nil if it is empty.
func parseConfig(name string, content []byte) (*yaml.Node, error) {
	var document, more yaml.Node
	d := yaml.NewDecoder(bytes.NewReader(content))
	err := d.Decode(&document)
	if errors.Is(err, io.EOF) {
		return nil, nil
	}
	if err == nil {
		err = d.Decode(&more)
		if err == nil {
			return nil, fmt.Errorf("%s:%d: a second document begins; put all settings into one", name, more.Line)
		}
		if errors.Is(err, io.EOF) {
			return document.Content[0], nil
		}
	}
	at, what := name, err.Error()
	if m := yamlError.FindStringSubmatch(what); m != nil {
		what = m[2]
		if m[1] != "" {
			at += ":" + m[1]
		}
	}
	return nil, fmt.Errorf("%s: no YAML: %s", at, what)
}

// configFile is a file while it is taken in.
type configFile struct {
	*config
	name  string
	seen  map[string]int // line of each key so far
	wrong []error
}

func (f *configFile) complain(at *yaml.Node, format string, args ...any) {
	f.wrong = append(f.wrong, fmt.Errorf("%s:%d: %w", f.name, at.Line, fmt.Errorf(format, args...)))
}

// group takes a mapping, whose keys stand behind prefix.
func (f *configFile) group(node *yaml.Node, prefix string) {
	if node.Kind == yaml.ScalarNode && node.Tag == "!!null" {
		return // all of it is commented out
	}
	if node.Kind != yaml.MappingNode {
		where := "the file"
		if prefix != "" {
			where = strings.TrimSuffix(prefix, ".")
		}
		f.complain(node, "%s: want keys with values, as in %q", where, "key: value")
		return
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		f.pair(node.Content[i], node.Content[i+1], prefix)
	}
}

// pair takes a key and what belongs to it.
func (f *configFile) pair(name, node *yaml.Node, prefix string) {
	if name.Kind != yaml.ScalarNode {
		f.complain(name, "want a key that is a word")
		return
	}
	key := prefix + name.Value
	if line, ok := f.seen[key]; ok {
		f.complain(name, "%s: is set in line %d already", key, line)
		return
	}
	f.seen[key] = name.Line
	for _, s := range f.settings {
		switch {
		case s.key == key && (prefix != "" || !strings.Contains(key, ".")):
			f.scalar(s, node)
			return
		case strings.HasPrefix(s.key, key+"."):
			f.group(node, key+".")
			return
		}
	}
	f.complain(name, "%s", f.unknown(key))
}

// scalar takes the value of one setting.
func (f *configFile) scalar(s *setting, node *yaml.Node) {
	switch {
	case node.Kind == yaml.AliasNode:
		f.complain(node, "%s: write the value itself; aliases are not supported", s.key)
	case node.Kind != yaml.ScalarNode:
		f.complain(node, "%s: want one value (%s), not a list or a group of them", s.key, s.arg)
	case node.Tag == "!!null":
		f.complain(node, "%s: has no value; give one or leave the key out", s.key)
	default:
		if err := s.take(node.Value, fmt.Sprintf("%s:%d", f.name, node.Line)); err != nil {
			f.wrong = append(f.wrong, err)
		}
	}
}

// unknown says that a key is none, and which one may be meant.
func (c *config) unknown(key string) string {
	var keys []string
	for _, s := range c.settings {
		keys = append(keys, s.key)
		if group, _, ok := strings.Cut(s.key, "."); ok {
			keys = append(keys, group)
		}
		if s.key == key { // with a dot, where groups are written by indenting
			group, name, _ := strings.Cut(key, ".")
			return fmt.Sprintf("%s: unknown key; write %s below %s", key, name, group)
		}
	}
	if near := nearest(key, keys); near != "" {
		return fmt.Sprintf("%s: unknown key; did you mean %s?", key, near)
	}
	return fmt.Sprintf("%s: unknown key; `waterbear server --help` lists all there are", key)
}

// nearest is the word that a person most likely meant, or "".
func nearest(word string, words []string) string {
	const longest = 64 // no key comes near it
	if len(word) > longest {
		return ""
	}
	fold := func(s string) string {
		return strings.ToLower(strings.NewReplacer("-", "", "_", "", ".", "").Replace(s))
	}
	last := func(s string) string { return s[strings.LastIndex(s, ".")+1:] }
	best, least := "", min(3, (len(word)+1)/2) // from then on it is another word
	for _, w := range words {
		// The right key in the wrong group is a slip too.
		n := min(slips(fold(word), fold(w)), 1+slips(fold(last(word)), fold(last(w))))
		if n < least {
			best, least = w, n
		}
	}
	return best
}

// slips is how many letters are to be added, left out or replaced to make b
// of a.
func slips(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			before, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, before+cost)
		}
	}
	return row[len(b)]
}
