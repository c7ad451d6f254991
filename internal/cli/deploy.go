package cli

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

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
		Long: `Deploy a WebAssembly program, a module of WASI 0.1 or a component of WASI 0.2,
to a server, as the newest revision of a component, and print which revision it
is, the functions it exports, what it imports, and the types in WIT if it has
them. The same bytes as the newest revision make no new one.

New workers of the component use the newest revision; those there are keep
theirs. A program with a main function has one function, "run", which takes
strings; any other has the functions it exports.

--json prints one object: component, number, hash, size, created, kind, exports,
imports, new, and wit if it has types.`,
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
		t := a.fields()
		t.add("Component", printable(deployed.Component))
		t.add("Revision", fmt.Sprintf("%d (%s)", deployed.Number, state))
		if err := a.printRevision(t, deployed.Revision); err != nil || deployed.WIT == "" {
			return err
		}
		_, err = fmt.Fprintf(a.stdout, "\n%s", printableLines(withoutWASI(deployed.WIT)))
		return err
	})
}

// printRevision prints all that is known of a revision, behind the rows of t.
func (a *app) printRevision(t *table, r api.Revision) error {
	t.add("Kind", kindText(r.Kind))
	if r.HTTP {
		t.add("Answers", "HTTP requests, at /v1/workers/"+printable(r.Component)+"/WORKER/http/")
	}
	t.add("Size", bytesText(uint64(max(r.Size, 0))))
	t.add("Hash", "sha256:"+printable(r.Hash))
	var exports []string
	for _, f := range r.Exports {
		exports = append(exports, signature(r.Kind, f))
	}
	t.addLines("Exports", exports)
	t.addLines("Imports", importLines(r.Imports))
	t.addLines("Calls", r.Calls)
	return t.write(a.stdout)
}

// textWidth is how wide texts beside a label are, at most if they can be broken.
const textWidth = 66

// wrapped puts words that sep separates on lines of textWidth.
func wrapped(words []string, sep string) (lines []string) {
	line := ""
	for _, word := range words {
		switch {
		case line == "":
			line = word
		case utf8.RuneCountInString(line+sep+word) <= textWidth:
			line += sep + word
		default:
			lines = append(lines, line+strings.TrimRight(sep, " "))
			line = word
		}
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}

// addLines adds a row for each line, the first with the label.
func (t *table) addLines(label string, lines []string) {
	for _, line := range lines {
		t.add(label, printable(line))
		label = ""
	}
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

// importLines gives imports, module by module: those of a core module are
// module.function, those of a component interfaces, package/interface@version.
func importLines(imports []string) []string {
	var modules []string
	names := map[string][]string{}
	for _, imported := range imports {
		module, name := splitImport(imported)
		if _, seen := names[module]; !seen {
			modules = append(modules, module)
		}
		names[module] = append(names[module], name)
	}
	slices.Sort(modules)
	var lines []string
	for _, m := range modules {
		lines = append(lines, wrapped(append([]string{m + ":"}, names[m]...), " ")...)
	}
	return lines
}

// plainImport is a function of an interface as a module imports it: the version
// goes on with a point, and not with a hyphen as that of a draft would.
var plainImport = regexp.MustCompile(`^(.+@[0-9]+\.[0-9]+\.[0-9]+)\.(.+)$`)

// splitImport gives what an import is of, and its name there.
func splitImport(imported string) (module, name string) {
	if m := plainImport.FindStringSubmatch(imported); m != nil {
		return m[1], m[2]
	}
	if of, rest, ok := strings.Cut(imported, "/"); ok && strings.Contains(of, ":") {
		name, version, versioned := strings.Cut(rest, "@")
		if versioned {
			of += "@" + version
		}
		return of, name
	}
	module, name, _ = strings.Cut(imported, ".")
	return module, name
}

// revisionText is a number of a revision, as a list shows it.
func revisionText(n uint64) string { return strconv.FormatUint(n, 10) }

// printableLines is text of several lines as it can be shown.
func printableLines(text string) string {
	lines := strings.SplitAfter(text, "\n")
	for i, line := range lines {
		body, end := strings.CutSuffix(line, "\n")
		if lines[i] = printable(body); end {
			lines[i] += "\n"
		}
	}
	return strings.Join(lines, "")
}
