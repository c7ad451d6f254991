package catalog

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/component"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/wit"
)

// maxLinks bounds the links of a component or a worker.
const maxLinks = 64

// nameOfCaller stands for the caller's name in a link.
const nameOfCaller = "{name}"

// ParseLink gives the worker that a link leads a caller to.
func ParseLink(link, caller string) (id.Worker, error) {
	component, name, ok := strings.Cut(link, "/")
	if !ok {
		name = nameOfCaller
	}
	w := id.Worker{Component: component, Name: strings.ReplaceAll(name, nameOfCaller, caller)}
	return w, w.Check()
}

func (c *settingsCheck) links(links map[string]string) {
	if len(links) > maxLinks {
		c.refuse("links", fmt.Sprintf("there are %d, more than %d", len(links), maxLinks))
	}
	for _, name := range slices.Sorted(maps.Keys(links)) {
		if of, rest, ok := strings.Cut(name, ":"); !ok || of == "" || strings.Count(rest, "/") != 1 || strings.Contains(name, "@") {
			c.refuse("links", fmt.Sprintf("%q is not the name of an interface without a version, such as shop:pricing/api", name))
		}
		if _, err := ParseLink(links[name], "name"); err != nil {
			c.refuse("links", fmt.Sprintf("%s leads to %q, which is not COMPONENT/NAME, COMPONENT/{name} or COMPONENT", name, links[name]))
		}
	}
}

// interfaceOf is the interface of a function by its whole name, without a version.
func interfaceOf(function string) string {
	name, _, _ := strings.Cut(function, "#")
	name, _, _ = strings.Cut(name, "@")
	return name
}

// checkNewLinks is checkLinks for the newest revision of a component.
func (c *Catalog) checkNewLinks(ctx context.Context, name string, links map[string]string) error {
	if len(links) == 0 {
		return nil
	}
	p, err := c.Acquire(ctx, name, 0)
	if err != nil {
		return err
	}
	return errors.Join(c.checkLinks(ctx, p.code.compiled, links), p.Release())
}

// checkLinks refuses links to components, as far as they are deployed, that do not
// export what the program calls, or of other types.
func (c *Catalog) checkLinks(ctx context.Context, code *Compiled, links map[string]string) error {
	if code.Component == nil {
		return nil
	}
	for _, f := range code.Component.Foreign() {
		link, ok := links[interfaceOf(f.Name)]
		if !ok {
			continue // whoever invokes it is told
		}
		target, _, _ := strings.Cut(link, "/")
		if _, ok := c.Latest(target); !ok {
			continue
		}
		if err := c.checkLink(ctx, f, target); err != nil {
			return err
		}
	}
	return nil
}

func (c *Catalog) checkLink(ctx context.Context, f component.Export, target string) error {
	p, err := c.Acquire(ctx, target, 0)
	if err != nil {
		return err
	}
	name, ok := Exported(p.Revision.Exports, f.Name)
	if ok {
		var same error
		if t, typed := p.Typed(name); typed {
			same = wit.SameFunc(t, f.Type)
		}
		if ok = same == nil; !ok {
			err = linkProblem(f.Name, target, "exports it with another type: "+same.Error())
		}
	} else {
		err = linkProblem(f.Name, target, "does not export it, or not in a compatible version")
	}
	return errors.Join(err, p.Release())
}

func linkProblem(function, target, why string) error {
	return api.NewProblem(api.CodeBadProgram, fmt.Sprintf("it calls %s, and the component %s, to which its link leads, %s; link it to another (--link %s=COMPONENT), or deploy what fits",
		function, target, why, interfaceOf(function)))
}

// Exported finds among the functions that a program exports the one that another
// imports by its whole name: of the same interface, in a compatible version.
func Exported(exports []api.Function, name string) (string, bool) {
	id, function, _ := strings.Cut(name, "#")
	bare, version, _ := strings.Cut(id, "@")
	for _, e := range exports {
		has, f, _ := strings.Cut(e.Name, "#")
		hasBare, hasVersion, _ := strings.Cut(has, "@")
		if f == function && hasBare == bare && component.Compatible(hasVersion, version) {
			return e.Name, true
		}
	}
	return "", false
}
