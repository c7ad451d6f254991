package cli

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"

	"github.com/waterbear-run/waterbear"
)

// outcome is all that a run left behind, by name.
type outcome map[string][]byte

// compare says whether the killed run left exactly what the undisturbed one
// did: log, files and exit code.
func (d *demo) compare(ctx context.Context, calm, storm attempt) (bool, error) {
	var want, got outcome
	err := d.withState(ctx, waterbear.Options{Dir: d.state(), ReadOnly: true}, func(node *waterbear.Node) (err error) {
		if want, err = d.outcome(ctx, node, undisturbed, calm); err != nil {
			return err
		}
		got, err = d.outcome(ctx, node, killed, storm)
		return err
	})
	if err != nil {
		return false, err
	}
	d.say("")
	same := true
	names := maps.Clone(want)
	maps.Copy(names, got)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		w, wanted := want[name]
		g, there := got[name]
		switch {
		case !wanted:
			d.say("%s %s: only the killed run has it", d.paint.red("DIFFERENT"), name)
		case !there:
			d.say("%s %s: the killed run has none", d.paint.red("DIFFERENT"), name)
		case !bytes.Equal(w, g):
			d.say("%s %s: from byte %d on, of %d and %d", d.paint.red("DIFFERENT"), name, firstDifference(w, g), len(w), len(g))
		default:
			size := ""
			if w != nil {
				size = ", " + count(uint64(len(w)), "byte", "bytes")
			}
			d.say("%s %s%s", d.paint.green("equal"), name, size)
			continue
		}
		same = false
	}
	if same {
		d.say("\n%s Killed %s or not at all, the program did the same.\n",
			d.paint.bold(d.paint.green("Nothing was lost, nothing was doubled.")), count(uint64(d.kills), "time", "times"))
	} else {
		d.say("\n%s This is a bug of Waterbear. To see it again: waterbear demo --kills %d --seed %d --keep\n",
			d.paint.bold(d.paint.red("The runs differ.")), d.kills, d.seed)
	}
	return same, nil
}

func (d *demo) outcome(ctx context.Context, node *waterbear.Node, worker string, last attempt) (outcome, error) {
	o := outcome{
		"log of stdout": {}, "log of stderr": {},
		fmt.Sprintf("exit code %d", last.code): nil,
	}
	for chunk, err := range node.Logs(ctx, worker, waterbear.ReadOptions{}) {
		if err != nil {
			return nil, err
		}
		o["log of "+chunk.Stream] = append(o["log of "+chunk.Stream], chunk.Bytes...)
	}
	files := os.DirFS(d.files(worker))
	err := fs.WalkDir(files, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		o["file "+path], err = fs.ReadFile(files, path)
		return err
	})
	return o, err
}

// firstDifference is where a and b begin to differ.
func firstDifference(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}
