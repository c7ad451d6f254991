package cli

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/waterbear-run/waterbear"
	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/client"
)

func (a *app) deployCommand() *cobra.Command {
	var name string
	var asJSON, quiet bool
	cmd := &cobra.Command{
		Use:     "deploy [flags] FILE.wasm",
		GroupID: groupServer,
		Short:   "Deploy a program to a server, as a component",
		Long: `Deploy a WebAssembly module (WASI 0.1) to a server, as the newest revision of a
component, and print which revision it is, the functions it exports and what it
imports. The same bytes as the newest revision make no new one.

New workers of the component use the newest revision; those there are keep
theirs. A program with a main function has one function, "run", which takes
strings; any other has the functions it exports.

--json prints one object: component, number, hash, size, created, kind, exports,
imports, and new.`,
		Example: `  waterbear deploy shop.wasm
  waterbear deploy --name shop build/app.wasm
  waterbear deploy --server https://bear.example:4004 shop.wasm`,
		Args: exactly(1, "the .wasm file to deploy"),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return []string{"wasm"}, cobra.ShellCompDirectiveFilterFileExt
		},
	}
	f := cmd.Flags()
	f.StringVar(&name, "name", "", "`NAME` of the component (default: the file's name)")
	f.BoolVarP(&quiet, "quiet", "q", false, "show no progress")
	f.BoolVar(&asJSON, "json", false, "print one JSON object")
	return a.remoteCommand(cmd, func(cmd *cobra.Command, args []string, _ *remote, c *client.Client) error {
		module, err := readProgram(args[0])
		if exit, ok := errors.AsType[exitError](err); ok {
			return exit.err // the codes are for those who run it
		}
		if err != nil {
			return err
		}
		if name == "" {
			name = nameOf(args[0])
		}
		line := a.newProgress(filepath.Base(args[0]), quiet)
		deployed, err := c.Deploy(cmd.Context(), name, module, func(p api.Progress) {
			line.report(waterbear.Progress{Stage: p.Stage, Done: p.Done})
		})
		line.clear()
		switch {
		case err != nil:
			return err
		case asJSON:
			return writeJSON(a.stdout, deployed)
		}
		state := "new"
		if !deployed.New {
			state = "was deployed before"
		}
		return a.printRevision(deployed.Revision, "Revision", fmt.Sprintf("%d (%s)", deployed.Number, state))
	})
}

// printRevision prints all that is known of a revision; first are rows to put
// above the others, each a label and a text.
func (a *app) printRevision(r api.Revision, first ...string) error {
	t := a.fields()
	t.add("Component", printable(r.Component))
	for i := 0; i+1 < len(first); i += 2 {
		t.add(first[i], first[i+1])
	}
	t.add("Kind", kindText(r.Kind))
	t.add("Size", bytesText(uint64(max(r.Size, 0))))
	t.add("Hash", "sha256:"+printable(r.Hash))
	label := "Exports"
	for _, f := range r.Exports {
		t.add(label, printable(signature(r.Kind, f)))
		label = ""
	}
	label = "Imports"
	for _, line := range importLines(r.Imports) {
		t.add(label, printable(line))
		label = ""
	}
	return t.write(a.stdout)
}

// fields is a table of labels and texts.
func (a *app) fields() *table {
	paint := a.styleFor(a.stdout)
	return &table{paint: func(_, column int, text string) string {
		if column == 0 {
			return paint.dim(text)
		}
		return text
	}}
}

func kindText(k api.Kind) string {
	switch k {
	case api.Command:
		return "command: each invocation starts the program anew, over the worker's files"
	case api.Library:
		return "library: a worker's memory lasts from one invocation to the next"
	}
	return printable(string(k))
}

// signature gives a function as add(i32, i32) -> i32.
func signature(k api.Kind, f api.Function) string {
	if k == api.Command {
		return f.Name + "(arguments...) -> exit code"
	}
	text := f.Name + "(" + strings.Join(f.Params, ", ") + ")"
	if len(f.Results) > 0 {
		text += " -> " + strings.Join(f.Results, ", ")
	}
	return text
}

// importLines gives imports, which are module.function, as a line for each
// module.
func importLines(imports []string) []string {
	var modules []string
	functions := map[string][]string{}
	for _, name := range imports {
		module, function, _ := strings.Cut(name, ".")
		if _, seen := functions[module]; !seen {
			modules = append(modules, module)
		}
		functions[module] = append(functions[module], function)
	}
	slices.Sort(modules)
	for i, m := range modules {
		modules[i] = m + ": " + strings.Join(functions[m], " ")
	}
	return modules
}

// revisionText is a number of a revision, as a list shows it.
func revisionText(n uint64) string { return strconv.FormatUint(n, 10) }
