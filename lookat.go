package waterbear

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"path"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/agenda"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
)

// Worker tells of one worker of a component all there is.
func (p *Platform) Worker(ctx context.Context, component, name string) (api.WorkerDetail, error) {
	w, err := workerOf(component, name)
	if err != nil {
		return api.WorkerDetail{}, err
	}
	v, err := p.workers.Worker(ctx, w)
	if err != nil {
		return v, err
	}
	return v, p.redactPromises(ctx, component, v.Promises)
}

// Workers gives up to limit workers of components behind cursor ("": from the
// first) that the filter chooses. A page may have fewer, even none, and still a
// Next: looking costs time too.
func (p *Platform) Workers(ctx context.Context, f api.WorkerFilter, cursor string, limit int) (api.Page[api.Worker], error) {
	return p.workers.List(ctx, f, func(component string) bool {
		return component == runComponent || component == agenda.Worker.Component
	}, cursor, limit)
}

// Logs yields what a worker of a component has printed, as far as it is
// committed. After an *api.Problem of CodeDamaged or CodeExpired the consumer may
// go on: it concerns the entries that it names.
func (p *Platform) Logs(ctx context.Context, component, name string, r api.Range) iter.Seq2[api.LogChunk, error] {
	return func(yield func(api.LogChunk, error) bool) {
		redact, err := p.redaction(ctx, component)
		if err != nil {
			yield(api.LogChunk{}, err)
			return
		}
		for entry, err := range p.follow(ctx, component, name, r, p.workers.Output) {
			var c api.LogChunk
			if err == nil {
				log, ok := entry.Body.(*oplog.Log)
				if !ok {
					continue
				}
				shown := redact.bytes(log.Bytes)
				if !contains(string(shown), r.Search) {
					continue
				}
				c = chunkOf(entry, log.Stream, shown)
			}
			if !yield(c, unreadable(err)) {
				return
			}
		}
	}
}

func chunkOf(entry oplog.Entry, stream oplog.Stream, b []byte) api.LogChunk {
	c := api.LogChunk{Index: entry.Index, At: entry.At.Time(), Stream: stream.String()}
	if utf8.Valid(b) {
		c.Text = string(b)
	} else {
		c.Base64 = b
	}
	return c
}

// Oplog yields the committed entries of a worker of a component. Problems are as
// in Logs.
func (p *Platform) Oplog(ctx context.Context, component, name string, r api.Range) iter.Seq2[api.Entry, error] {
	return func(yield func(api.Entry, error) bool) {
		views := newReader()
		redact, err := p.redaction(ctx, component)
		if err != nil {
			yield(api.Entry{}, err)
			return
		}
		for entry, err := range p.follow(ctx, component, name, r, truncatedEntries) {
			var v OplogEntry
			if err == nil {
				p.node.recall(ctx, id.Worker{Component: component, Name: name}, views, entry)
				if v, err = views.entry(entry); err == nil {
					v.Text = redact.text(v.Text)
					v.Body, err = redact.json(v.Body)
				}
				if err == nil && !contains(v.Kind+" "+v.Text, r.Search) {
					continue
				}
			}
			if !yield(api.Entry{Index: v.Index, At: v.At, Kind: v.Kind, Text: v.Text, Body: v.Body}, unreadable(err)) {
				return
			}
		}
	}
}

// contains reports whether text has what is searched for, in any case.
func contains(text, search string) bool {
	return search == "" || strings.Contains(strings.ToLower(text), strings.ToLower(search))
}

// unreadable makes problems of errors that concern some entries alone.
func unreadable(err error) error {
	switch {
	case damaged(err):
		return api.NewProblem(api.CodeDamaged, err.Error())
	case oplog.IsTruncated(err):
		return api.NewProblem(api.CodeExpired, err.Error())
	}
	return err
}

// passable reports whether reading goes on behind err.
func passable(err error) bool {
	var p *api.Problem
	return errors.As(err, &p) && (p.Code == api.CodeDamaged || p.Code == api.CodeExpired)
}

// reading yields what there is of the entries from to to of a worker.
type reading func(ctx context.Context, w id.Worker, from, to oplog.Index) iter.Seq2[oplog.Entry, error]

// truncatedEntries is all there is to say of entries that were truncated.
func truncatedEntries(_ context.Context, w id.Worker, from, to oplog.Index) iter.Seq2[oplog.Entry, error] {
	return func(yield func(oplog.Entry, error) bool) {
		yield(oplog.Entry{}, &oplog.TruncatedError{Worker: w, From: from, To: to})
	}
}

// follow yields the entries that r chooses, and waits for more if it says so.
// Those that were truncated come from truncated.
func (p *Platform) follow(ctx context.Context, component, name string, r api.Range, truncated reading) iter.Seq2[oplog.Entry, error] {
	return func(yield func(oplog.Entry, error) bool) {
		w, err := workerOf(component, name)
		last := oplog.Index(0)
		if err == nil {
			_, last, err = p.node.store.Logs().Bounds(ctx, w)
		}
		if err == nil && last == 0 {
			err = api.NewProblem(api.CodeNoWorker, fmt.Sprintf("there is no worker %s; `waterbear worker list` shows those there are", w))
		}
		for next := max(r.From, 1); err == nil; {
			to := last
			if r.To != 0 {
				to = min(to, r.To)
			}
			for next <= to {
				var more bool
				if next, more, err = p.stretch(ctx, w, next, to, truncated, yield); !more || err != nil {
					break
				}
			}
			if err != nil || next <= to || !r.Follow || r.To != 0 && next > r.To {
				break
			}
			if p.node.sched.Sleep(ctx, followEvery) != nil {
				return
			}
			if _, last, err = p.node.store.Logs().Bounds(ctx, w); err == nil && last < next-1 {
				return // it was deleted
			}
		}
		if err != nil {
			yield(oplog.Entry{}, err)
		}
	}
}

// stretch yields entries from from on, but not behind to, of which all or none
// are there, and says where to go on, if the consumer wants to.
func (p *Platform) stretch(ctx context.Context, w id.Worker, from, to oplog.Index, truncated reading, yield func(oplog.Entry, error) bool) (next oplog.Index, more bool, err error) {
	logs := p.node.store.Logs()
	first, _, err := logs.Bounds(ctx, w)
	if err != nil {
		return from, false, err
	}
	source := reading(func(ctx context.Context, w id.Worker, from, to oplog.Index) iter.Seq2[oplog.Entry, error] {
		return oplog.Read(ctx, logs, w, from, to)
	})
	if there := first <= from; !there {
		source, to = truncated, min(to, first-1)
	}
	for entry, err := range source(ctx, w, from, to) {
		if err == nil && first <= from && entry.Index > from {
			if now, _, err := logs.Bounds(ctx, w); err != nil || now > from {
				return from, true, err // the next ones were truncated meanwhile
			}
		}
		if !yield(entry, err) {
			return from, false, nil
		}
		if err == nil {
			from = entry.Index + 1
		}
	}
	if now, _, err := logs.Bounds(ctx, w); first <= from && (err != nil || now > from) {
		return from, true, err
	}
	return to + 1, true, nil
}

// files opens the files of a worker of a component.
func (p *Platform) files(ctx context.Context, component, name string) (fs.ReadLinkFS, error) {
	w, err := workerOf(component, name)
	if err != nil {
		return nil, err
	}
	return p.workers.Files(ctx, w)
}

// Files lists all files of a worker of a component, by path.
func (p *Platform) Files(ctx context.Context, component, name string) ([]api.File, error) {
	files, err := p.files(ctx, component, name)
	if err != nil {
		return nil, err
	}
	all := []api.File{}
	err = fs.WalkDir(files, ".", func(file string, d fs.DirEntry, err error) error {
		if err != nil || file == "." {
			return err
		}
		info, err := d.Info()
		if err == nil {
			all = append(all, fileOf(file, info))
		}
		return err
	})
	return all, err
}

func fileOf(p string, info fs.FileInfo) api.File {
	kind := "file"
	switch {
	case info.IsDir():
		kind = "directory"
	case info.Mode()&fs.ModeSymlink != 0:
		kind = "link"
	}
	return api.File{Path: "/" + p, Kind: kind, Size: info.Size(), Modified: info.ModTime()}
}

// File opens a file of a worker of a component. The caller closes it.
func (p *Platform) File(ctx context.Context, component, name, file string) (api.File, io.ReadCloser, error) {
	files, err := p.files(ctx, component, name)
	if err != nil {
		return api.File{}, nil, err
	}
	file = strings.TrimPrefix(path.Clean("/"+file), "/")
	missing := api.NewProblem(api.CodeNoFile, fmt.Sprintf("%s/%s has no file %s", component, name, "/"+file))
	f, err := files.Open(file)
	if err != nil {
		return api.File{}, nil, missing
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = missing
	}
	if err != nil {
		return api.File{}, nil, errors.Join(err, f.Close())
	}
	return fileOf(file, info), f, nil
}

// Export writes all there is of a worker of a component as a tar archive: what
// the API tells of it (worker.json), its oplog (oplog-0001.jsonl and so on, one
// entry a line), what is kept of truncated entries (invocations-0001.jsonl,
// output-0001.jsonl) and its files (files/…).
func (p *Platform) Export(ctx context.Context, component, name string, to io.Writer) error {
	detail, err := p.Worker(ctx, component, name)
	if err != nil {
		return err
	}
	archive := tar.NewWriter(to)
	head, err := json.MarshalIndent(detail, "", "  ")
	if err == nil {
		err = addToTar(archive, "worker.json", detail.Changed, head)
	}
	if err == nil {
		err = p.exportOplog(ctx, archive, component, name, detail)
	}
	if err == nil {
		err = p.exportArchived(ctx, archive, component, name, detail)
	}
	if err == nil {
		err = p.exportFiles(ctx, archive, component, name)
	}
	return errors.Join(err, archive.Close())
}

func addToTar(archive *tar.Writer, name string, at time.Time, content []byte) error {
	err := archive.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content)), ModTime: at})
	if err == nil {
		_, err = archive.Write(content)
	}
	return err
}

// exportPart is about how much of a sequence of lines is one file of an export:
// a tar archive has to know a file's size before its content.
const exportPart = 4 << 20

func (p *Platform) exportOplog(ctx context.Context, archive *tar.Writer, component, name string, detail api.WorkerDetail) error {
	lines := exported{archive: archive, name: "oplog", at: detail.Changed}
	for entry, err := range p.Oplog(ctx, component, name, api.Range{To: detail.Entries}) {
		if err := lines.add(entry, err); err != nil {
			return err
		}
	}
	return lines.flush()
}

// exportArchived exports what is kept of entries that were truncated.
func (p *Platform) exportArchived(ctx context.Context, archive *tar.Writer, component, name string, detail api.WorkerDetail) error {
	if detail.Archived == nil {
		return nil
	}
	w := id.Worker{Component: component, Name: name}
	lines := exported{archive: archive, name: "invocations", at: detail.Changed}
	for v, err := range p.workers.Archived(ctx, w) {
		if err == nil {
			err = p.redactFailure(ctx, component, &v)
		}
		if err := lines.add(v, unreadable(err)); err != nil {
			return err
		}
	}
	if err := lines.flush(); err != nil {
		return err
	}
	redact, err := p.redaction(ctx, component)
	if err != nil {
		return err
	}
	lines = exported{archive: archive, name: "output", at: detail.Changed}
	for entry, err := range p.workers.Output(ctx, w, 1, detail.First-1) {
		var c api.LogChunk
		if log, ok := entry.Body.(*oplog.Log); ok {
			c = chunkOf(entry, log.Stream, redact.bytes(log.Bytes))
		}
		if err := lines.add(c, unreadable(err)); err != nil {
			return err
		}
	}
	return lines.flush()
}

// exported is a sequence of JSON lines in an archive, in parts that are named
// one after the other.
type exported struct {
	archive *tar.Writer
	name    string
	at      time.Time
	part    []byte
	number  int
}

// add writes a line for v, or for why it cannot be read.
func (x *exported) add(v any, err error) error {
	var p *api.Problem
	if passable(err) && errors.As(err, &p) {
		v, err = map[string]string{string(p.Code): p.Detail}, nil
	}
	if err != nil {
		return err
	}
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if x.part = append(append(x.part, line...), '\n'); len(x.part) >= exportPart {
		return x.flush()
	}
	return nil
}

func (x *exported) flush() error {
	x.number++
	err := addToTar(x.archive, fmt.Sprintf("%s-%04d.jsonl", x.name, x.number), x.at, x.part)
	x.part = x.part[:0]
	return err
}

func (p *Platform) exportFiles(ctx context.Context, archive *tar.Writer, component, name string) error {
	files, err := p.files(ctx, component, name)
	if err != nil {
		return err
	}
	return fs.WalkDir(files, ".", func(file string, d fs.DirEntry, err error) error {
		if err != nil || file == "." {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		target := ""
		if info.Mode()&fs.ModeSymlink != 0 {
			if target, err = files.ReadLink(file); err != nil {
				return err
			}
		}
		header, err := tar.FileInfoHeader(info, target)
		if err != nil {
			return err
		}
		header.Name = "files/" + file
		if err := archive.WriteHeader(header); err != nil || !info.Mode().IsRegular() {
			return err
		}
		return copyFile(archive, files, file)
	})
}

func copyFile(to io.Writer, files fs.FS, p string) error {
	f, err := files.Open(p)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, f)
	return errors.Join(err, f.Close())
}
