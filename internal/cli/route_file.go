package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	yaml "go.yaml.in/yaml/v3"

	"github.com/waterbear-run/waterbear/api"
)

// maxRoutesFile bounds a file of routes, as the server bounds them.
const maxRoutesFile = 1 << 20

// readRoutes reads a file of routes, which is YAML; JSON is YAML, too. Names that
// no route has are errors: what is misspelled would not hold, and nobody would
// know.
func (a *app) readRoutes(name string) (all api.Routes, err error) {
	var content []byte
	if name == "-" {
		content, err = io.ReadAll(io.LimitReader(a.stdin, maxRoutesFile+1))
		if err == nil && len(content) > maxRoutesFile {
			err = fmt.Errorf("standard input has more than %s", bytesText(maxRoutesFile))
		}
	} else {
		content, err = readBounded(name, maxRoutesFile)
	}
	if err != nil {
		return all, fmt.Errorf("read the routes: %w", err)
	}
	if all, err = parseRoutes(content); err != nil {
		return all, fmt.Errorf("read the routes of %s: %w", shellQuote(name), err)
	}
	return all, nil
}

func parseRoutes(content []byte) (all api.Routes, err error) {
	var tree any
	if err := yaml.Unmarshal(content, &tree); err != nil {
		return all, err
	}
	if tree == nil {
		return all, errors.New("it is empty: for no routes at all write routes: []")
	}
	text, err := json.Marshal(jsonable(tree))
	if err != nil {
		return all, err
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&all); err != nil {
		return all, err
	}
	if all.Routes == nil {
		return all, errors.New("it has no list of routes: for none at all write routes: []")
	}
	return all, nil
}

// jsonable is what YAML has decoded with texts for keys, as JSON wants them.
func jsonable(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			v[k] = jsonable(e)
		}
	case map[any]any:
		m := make(map[string]any, len(v))
		for k, e := range v {
			m[fmt.Sprint(k)] = jsonable(e)
		}
		return m
	case []any:
		for i, e := range v {
			v[i] = jsonable(e)
		}
	}
	return v
}

// writeYAML prints v, whose JSON says what it is called, as YAML in the same order.
func writeYAML(w io.Writer, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	var node yaml.Node
	if err := yaml.Unmarshal(text, &node); err != nil {
		return err
	}
	plain(&node)
	e := yaml.NewEncoder(w)
	e.SetIndent(2)
	if err := e.Encode(&node); err != nil {
		return err
	}
	return e.Close()
}

// plain takes the braces and quotes of JSON away, where YAML does without.
func plain(n *yaml.Node) {
	n.Style = 0
	for _, c := range n.Content {
		plain(c)
	}
}

// jsonFields are the fields of v as JSON has them.
func jsonFields(v any) map[string]string {
	text, err := json.Marshal(v)
	var fields map[string]json.RawMessage
	if err == nil {
		err = json.Unmarshal(text, &fields)
	}
	if err != nil {
		panic("cli: what is no object of JSON is printed as one: " + err.Error())
	}
	texts := make(map[string]string, len(fields))
	for name, v := range fields {
		texts[name] = string(v)
	}
	return texts
}
