package component

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/waterbear-run/waterbear/internal/component/binary"
	"github.com/waterbear-run/waterbear/wit"
)

// importItem finds what is imported: an argument of the instantiation, or for the
// outermost component what the host has.
func (l *linker) importItem(s *scope, def *binary.Import, args instance) (any, error) {
	if args != nil {
		return args[def.Name], nil
	}
	if def.Of != binary.Type {
		l.program.imports = append(l.program.imports, def.Name)
	}
	item, err := l.hostItem(s, &def.Extern)
	if err != nil {
		return nil, fmt.Errorf("import %s: %w", def.Name, err)
	}
	return item, nil
}

// hostItem finds an import of the outermost component.
func (l *linker) hostItem(s *scope, e *binary.Extern) (any, error) {
	switch e.Of {
	case binary.InstanceSort:
		return l.hostInstance(s, e)
	case binary.Func, binary.Type:
		return l.hostExport(s, l.interfaceNamed(""), e)
	}
	return nil, fmt.Errorf("it is a %s, and the host offers functions and interfaces only", sortNames[e.Of])
}

var sortNames = map[binary.Sort]string{
	binary.CoreModuleSort: "core module", binary.ComponentSort: "component", binary.Func: "function",
	binary.InstanceSort: "instance", binary.Type: "type",
}

// hostInstance makes an instance of what an import wants of an interface. One that
// wants nothing is always there.
func (l *linker) hostInstance(s *scope, e *binary.Extern) (any, error) {
	host := l.interfaceNamed(e.Name)
	if host == nil {
		var err error
		if host, err = l.foreign(e); err != nil {
			return nil, err
		}
	}
	made := instance{}
	for i := range e.Instance.Exports {
		x := &e.Instance.Exports[i]
		item, err := l.hostExport(s, host, x)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", x.Name, err)
		}
		made[x.Name] = item
		if r, ok := item.(resource); ok {
			s.resources[x.Resource] = int(r) // types behind it name it
		}
	}
	return made, nil
}

// foreign makes an interface of what an import wants that another program may
// export, nil if that cannot be.
func (l *linker) foreign(e *binary.Extern) (*HostInterface, error) {
	if !strings.Contains(e.Name, "/") || strings.HasPrefix(e.Name, "wasi:") || strings.HasPrefix(e.Name, "waterbear:durable/") {
		return nil, nil
	}
	var by *HostInterface
	for _, h := range l.hosts {
		if h.Foreign != nil {
			by = h
		}
	}
	if by == nil {
		return nil, nil
	}
	made := &HostInterface{Name: e.Name}
	for i := range e.Instance.Exports {
		x := &e.Instance.Exports[i]
		if x.Of == binary.Type && x.Resource != nil || x.Of == binary.Func && x.Func.HasHandle() {
			return nil, fmt.Errorf("%s: the host does not offer it, and a resource cannot go from one worker to another: let the interface have functions of plain values alone", x.Name)
		}
		if x.Of != binary.Func {
			continue
		}
		name := e.Name + "#" + x.Name
		l.program.foreign = append(l.program.foreign, Export{name, x.Func})
		made.Funcs = append(made.Funcs, HostFunc{Name: x.Name, Type: x.Func, Call: by.Foreign(name, x.Func)})
	}
	return made, nil
}

// hostExport finds one export of an interface of the host, which may be nil.
func (l *linker) hostExport(s *scope, host *HostInterface, e *binary.Extern) (any, error) {
	switch e.Of {
	case binary.Func:
		return l.hostFunc(s, host, e)
	case binary.Type:
		if e.Resource != nil {
			return l.hostResource(s, host, e)
		}
		return nil, nil
	case binary.InstanceSort:
		if host == nil || len(e.Instance.Exports) == 0 {
			return l.hostInstance(s, e)
		}
	}
	return nil, fmt.Errorf("it is a %s, and the host offers functions and resource types only", sortNames[e.Of])
}

var errNoInterface = fmt.Errorf("the host does not offer it")

func (l *linker) hostFunc(s *scope, host *HostInterface, e *binary.Extern) (any, error) {
	if host == nil {
		return nil, errNoInterface
	}
	for i := range host.Funcs {
		f := &host.Funcs[i]
		if f.Name != e.Name {
			continue
		}
		if err := l.sameFunc(s, f.Type, e.Func); err != nil {
			return nil, fmt.Errorf("it is not of the type that the host has: %w", err)
		}
		return &function{name: strings.TrimPrefix(host.Name+"#"+f.Name, "#"), typ: e.Func, scope: s, host: f}, nil
	}
	return nil, errNoInterface
}

// hostResource finds a resource type. One that is known is there already: if the
// host has one of that name it has to be the same.
func (l *linker) hostResource(s *scope, host *HostInterface, e *binary.Extern) (any, error) {
	known, isKnown := s.resources[e.Resource]
	if host != nil {
		for i := range host.Resources {
			if r := &host.Resources[i]; cmp.Or(r.Name, r.Type.Name) == e.Name {
				i := l.resourceOfHost(r)
				if isKnown && i != known {
					return nil, fmt.Errorf("the host has another resource type of this name")
				}
				return resource(i), nil
			}
		}
	}
	if isKnown {
		return resource(known), nil
	}
	return nil, errNoInterface
}

func (l *linker) resourceOfHost(r *HostResource) int {
	i, ok := l.ofHost[r.Type]
	if !ok {
		i = len(l.program.resources)
		l.ofHost[r.Type] = i
		l.program.resources = append(l.program.resources, resourcePlan{name: r.Type.Name, component: -1, host: r})
	}
	return i
}

// interfaceNamed finds the interface that an import is satisfied by, or nil.
func (l *linker) interfaceNamed(name string) *HostInterface {
	name, version, _ := strings.Cut(name, "@")
	for _, h := range l.hosts {
		if h.Foreign == nil && h.Name == name && Compatible(h.Version, version) {
			return h
		}
	}
	return nil
}

// Compatible tells whether two versions are in one track: the same up to the first
// number that is not 0, so that each can stand for the other.
func Compatible(a, b string) bool { return track(a) == track(b) }

// track is the part of a version that compatible ones share. One with a prerelease
// is compatible with itself alone.
func track(version string) string {
	core, _, _ := strings.Cut(version, "+")
	if strings.Contains(core, "-") {
		return core
	}
	for i, n := range strings.Split(core, ".") {
		if n != "0" {
			return strings.Join(strings.Split(core, ".")[:i+1], ".")
		}
	}
	return core
}

// sameFunc says why a function of the host is not what a component takes it for,
// or nil. Names of parameters do not matter.
func (l *linker) sameFunc(s *scope, host, want *wit.Func) error {
	if len(host.Params) != len(want.Params) {
		return fmt.Errorf("it takes %d parameters, not %d", len(host.Params), len(want.Params))
	}
	for i := range host.Params {
		if err := l.sameType(s, host.Params[i].Type, want.Params[i].Type); err != nil {
			return fmt.Errorf("parameter %s: %w", cmp.Or(host.Params[i].Name, fmt.Sprint(i+1)), err)
		}
	}
	if err := l.sameType(s, host.Result, want.Result); err != nil {
		return fmt.Errorf("result: %w", err)
	}
	return nil
}

// sameType says why a type of the host is not the same as one of a component, or
// nil. Either may be nil.
func (l *linker) sameType(s *scope, host, want *wit.Type) error {
	if host == want {
		return nil // it has no handles, or it is nil
	}
	switch {
	case host == nil || want == nil:
		return fmt.Errorf("one of them is there, and the other is not")
	case host.Kind != want.Kind:
		return fmt.Errorf("it is a %s, not a %s", host.Kind, want.Kind)
	case len(host.Fields) != len(want.Fields):
		return fmt.Errorf("the %s has %d parts, not %d", host.Kind, len(host.Fields), len(want.Fields))
	}
	if err := l.charge(1 + len(host.Fields)); err != nil {
		return err
	}
	if host.Resource != nil {
		return l.sameHandle(s, host.Resource, want.Resource)
	}
	for i := range host.Fields {
		a, b := host.Fields[i], want.Fields[i]
		if a.Name != b.Name {
			return fmt.Errorf("a part of the %s is %s, not %s", host.Kind, a.Name, b.Name)
		}
		if err := l.sameType(s, a.Type, b.Type); err != nil {
			return fmt.Errorf("%s: %w", cmp.Or(a.Name, fmt.Sprint(i)), err)
		}
	}
	if err := l.sameType(s, host.Elem, want.Elem); err != nil {
		return err
	}
	return l.sameType(s, host.Err, want.Err)
}

func (l *linker) sameHandle(s *scope, host, want *wit.Resource) error {
	got, ok := l.ofHost[host]
	i, err := s.resource(want)
	switch {
	case err != nil:
		return err
	case !ok || got != i:
		return fmt.Errorf("it is a handle of the resource type %s, not of the host's %s", want.Name, host.Name)
	}
	return nil
}
