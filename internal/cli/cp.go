package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/waterbear-run/waterbear"
)

func (a *app) cpCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "cp [flags] NAME:/PATH DEST",
		GroupID: groupRead,
		Short:   "Copy files out of a worker",
		Long: `Copy a file or a directory, with all that is in it, out of a worker: as the
program sees it now, whether it runs, was interrupted or has ended.

DEST is as for cp: a directory that is there receives the copy under its name,
else DEST becomes the copy; "-" is standard output. NAME:/PATH/. copies what is
in a directory rather than the directory. Symbolic links stay links, except one
that is named itself. Nothing is ever written outside of DEST.

--json prints one object: the number of files, directories, links and bytes.`,
		Example: `  waterbear cp prog:/data/out.json .
  waterbear cp prog:/data backup
  waterbear cp prog:/data/out.json - | jq .`,
		Args: exactly(2, "NAME:/PATH and a destination"),
	}
	state := stateFlag(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	names := a.completeWorkers(state, 1)
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, start string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveDefault
		}
		found, _ := names(cmd, args, start)
		for i, f := range found {
			name, about, _ := strings.Cut(f, "\t")
			found[i] = name + ":/\t" + about
		}
		return found, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		source, err := parseSource(cmd, args[0])
		if err != nil {
			return err
		}
		if asJSON && args[1] == "-" {
			return misuse(cmd, "--json and - both want standard output")
		}
		line := a.newProgress(source.worker, false)
		return a.reading(cmd.Context(), *state, line, func(node *waterbear.Node) error {
			files, err := node.Files(cmd.Context(), source.worker)
			if err != nil {
				return a.explain(err, source.worker, *state)
			}
			line.clear()
			copied, err := a.copyOut(files, source, args[1])
			if err == nil && asJSON {
				err = writeJSON(a.stdout, copied)
			}
			return err
		})
	}
	return cmd
}

// workerPath is NAME:/PATH.
type workerPath struct {
	worker   string
	path     string // as io/fs wants it
	contents bool   // PATH ends in "/."
}

func (p workerPath) String() string { return p.worker + ":/" + strings.TrimPrefix(p.path, ".") }

func parseSource(cmd *cobra.Command, arg string) (workerPath, error) {
	name, rest, ok := strings.Cut(arg, ":/")
	if !ok || name == "" {
		return workerPath{}, misuse(cmd, "%s names no file of a worker; write NAME:/PATH", shellQuote(arg))
	}
	rest = "/" + rest
	return workerPath{
		worker:   workerName(name),
		path:     strings.TrimPrefix(path.Clean(rest), "/"),
		contents: strings.HasSuffix(rest, "/."),
	}.normal(), nil
}

func (p workerPath) normal() workerPath {
	if p.path == "" {
		p.path, p.contents = ".", true
	}
	return p
}

// copied counts what cp made.
type copied struct {
	Files       int   `json:"files"`
	Directories int   `json:"directories"`
	Links       int   `json:"links"`
	Bytes       int64 `json:"bytes"`
}

func (a *app) copyOut(files fs.FS, source workerPath, dest string) (copied, error) {
	var done copied
	stat, err := fs.Stat(files, source.path)
	if err != nil {
		return done, fmt.Errorf("%s: %w", source, cause(err))
	}
	if dest == "-" {
		if stat.IsDir() {
			return done, fmt.Errorf("%s: is a directory; copy it to a directory, not to standard output", source)
		}
		f, err := files.Open(source.path)
		if err != nil {
			return done, fmt.Errorf("%s: %w", source, cause(err))
		}
		defer f.Close()
		_, err = io.Copy(a.stdout, f)
		return done, err
	}
	parent, base, err := destination(source, stat.IsDir(), dest)
	if err != nil {
		return done, err
	}
	root, err := os.OpenRoot(parent)
	if err != nil {
		return done, fmt.Errorf("open destination: %w", err)
	}
	defer root.Close()
	c := copier{files: files, root: root, worker: source.worker, at: parent}
	if stat.IsDir() {
		err = c.directory(source.path, base)
	} else {
		err = c.file(source.path, base, stat)
	}
	return c.done, err
}

// destination applies the rules of cp: it gives the directory to write in and
// the name to give the copy there, "." to fill the directory itself.
func destination(source workerPath, isDir bool, dest string) (parent, base string, err error) {
	stat, err := os.Stat(dest)
	switch {
	case err == nil && stat.IsDir() && source.contents && isDir:
		return dest, ".", nil
	case err == nil && stat.IsDir():
		return dest, path.Base(source.path), nil
	case err == nil && isDir:
		return "", "", fmt.Errorf("%s: is a directory and %s is not; name a directory, or one that is not there yet", source, dest)
	case err == nil && strings.HasSuffix(dest, "/"):
		return "", "", fmt.Errorf("%s: is no directory; leave out the last / to replace it", dest)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return "", "", fmt.Errorf("find destination: %w", err)
	case err != nil && !isDir && strings.HasSuffix(dest, "/"):
		return "", "", fmt.Errorf("%s: no such directory; make it first", dest)
	}
	dest = filepath.Clean(dest)
	return filepath.Dir(dest), filepath.Base(dest), nil
}

// cause is err without the path, which the caller names in the person's words.
func cause(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}
