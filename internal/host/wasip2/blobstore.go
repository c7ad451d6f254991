package wasip2

import (
	"errors"
	"strconv"

	"github.com/waterbear-run/waterbear/internal/host/blobstore"
	"github.com/waterbear-run/waterbear/internal/host/wasi"
	"github.com/waterbear-run/waterbear/wit"
)

// blobstoreDraft is the draft of wasi:blobstore that there is.
const blobstoreDraft = "0.2.0-draft"

var (
	containerResource     = &wit.Resource{Name: "container"}
	objectNamesResource   = &wit.Resource{Name: "stream-object-names"}
	outgoingValueResource = &wit.Resource{Name: "outgoing-value"}
	incomingValueResource = &wit.Resource{Name: "incoming-value"}

	containerMetadata = record("container-metadata", part("name", tString), part("created-at", tU64))
	objectMetadata    = record("object-metadata", part("name", tString), part("container", tString), part("created-at", tU64), part("size", tU64))
	objectID          = record("object-id", part("container", tString), part("object", tString))
)

// blobstoreBlobstore is wasi:blobstore/blobstore.
func blobstoreBlobstore() interfaceOf {
	name, opened, done := param("name", tString), result(own(containerResource), tString), result(nil, tString)
	src, dest := param("src", objectID), param("dest", objectID)
	return interfaceOf{
		name: "wasi:blobstore/blobstore", version: blobstoreDraft,
		functions: []function{
			{name: "create-container", typ: fnTo(opened, name), call: createContainer},
			{name: "get-container", typ: fnTo(opened, name), call: getContainer},
			{name: "delete-container", typ: fnTo(done, name), call: deleteContainer},
			{name: "container-exists", typ: fnTo(result(tBool, tString), name), call: containerExists},
			{name: "copy-object", typ: fnTo(done, src, dest), call: transferring((*blobstore.Containers).Copy)},
			{name: "move-object", typ: fnTo(done, src, dest), call: transferring((*blobstore.Containers).Move)},
		},
	}
}

// blobstoreContainer is wasi:blobstore/container.
func blobstoreContainer() interfaceOf {
	this, names := self(containerResource), self(objectNamesResource)
	name, done := param("name", tString), result(nil, tString)
	return interfaceOf{
		name: "wasi:blobstore/container", version: blobstoreDraft, resources: []*wit.Resource{containerResource, objectNamesResource},
		functions: []function{
			{name: "[method]container.name", typ: fnTo(result(tString, tString), this), call: on(containerName)},
			{name: "[method]container.info", typ: fnTo(result(containerMetadata, tString), this), call: on(containerInfo)},
			{name: "[method]container.get-data", typ: fnTo(result(own(incomingValueResource), tString), this, name, param("start", tU64), param("end", tU64)), call: on(getData)},
			{name: "[method]container.write-data", typ: fnTo(done, this, name, param("data", borrow(outgoingValueResource))), call: on(writeData)},
			{name: "[method]container.list-objects", typ: fnTo(result(own(objectNamesResource), tString), this), call: on(listObjects)},
			{name: "[method]container.delete-object", typ: fnTo(done, this, name), call: on(deleteObject)},
			{name: "[method]container.delete-objects", typ: fnTo(done, this, param("names", list(tString))), call: on(deleteObjects)},
			{name: "[method]container.has-object", typ: fnTo(result(tBool, tString), this, name), call: on(hasObject)},
			{name: "[method]container.object-info", typ: fnTo(result(objectMetadata, tString), this, name), call: on(objectInfo)},
			{name: "[method]container.clear", typ: fnTo(done, this), call: on(clearContainer)},
			{name: "[method]stream-object-names.read-stream-object-names", typ: fnTo(result(tuple(list(tString), tBool), tString), names, param("len", tU64)), call: on(readNames)},
			{name: "[method]stream-object-names.skip-stream-object-names", typ: fnTo(result(tuple(tU64, tBool), tString), names, param("num", tU64)), call: on(skipNames)},
		},
	}
}

// blobstoreTypes is wasi:blobstore/types.
func blobstoreTypes() interfaceOf {
	outgoing := self(outgoingValueResource)
	incoming := param("this", own(incomingValueResource))
	return interfaceOf{
		name: "wasi:blobstore/types", version: blobstoreDraft, resources: []*wit.Resource{outgoingValueResource, incomingValueResource},
		functions: []function{
			{name: "[static]outgoing-value.new-outgoing-value", typ: fnTo(own(outgoingValueResource)), call: newValue},
			{name: "[method]outgoing-value.outgoing-value-write-body", typ: fnTo(result(own(outputStream), nil), outgoing), call: on(writeValue)},
			{name: "[static]outgoing-value.finish", typ: fnTo(result(nil, tString), param("this", own(outgoingValueResource))), call: finishValue},
			{name: "[static]incoming-value.incoming-value-consume-sync", typ: fnTo(result(tBytes, tString), incoming), call: consumeValue},
			{name: "[static]incoming-value.incoming-value-consume-async", typ: fnTo(result(own(inputStream), tString), incoming), call: streamValue},
			{name: "[method]incoming-value.size", typ: fnTo(tU64, self(incomingValueResource)), call: on(valueSize)},
		},
	}
}

// container is a handle to a container, which is found by its name: it may be gone,
// and there again.
type container struct{ name string }

func (*container) kind() kind           { return kindContainer }
func (b *container) code(c *wasi.Coder) { wasi.Text(c, &b.name, blobstore.MaxContainer) }
func (b *container) weight() int        { return entryCost + len(b.name) }

// objectNames is a stream-object-names: those of a container behind one.
type objectNames struct{ container, behind string }

func (*objectNames) kind() kind { return kindObjectNames }

func (n *objectNames) code(c *wasi.Coder) {
	wasi.Text(c, &n.container, blobstore.MaxContainer)
	wasi.Text(c, &n.behind, blobstore.MaxObject)
}

// weight is what it can come to, as the last name changes.
func (n *objectNames) weight() int { return entryCost + len(n.container) + blobstore.MaxObject }

// blobResult makes a result of what the program can be told of.
func blobResult(v wit.Value, err error) (wit.Value, error) {
	if e := (*blobstore.Error)(nil); errors.As(err, &e) {
		return failed(e.Reason), nil
	}
	return ok(v), err
}

func createContainer(s *System, a []wit.Value) (wit.Value, error) {
	name := a[0].(string)
	if err := s.containers.Create(name); err != nil {
		return blobResult(nil, err)
	}
	rep, err := s.add(&container{name}, 0)
	return ok(rep), err
}

func getContainer(s *System, a []wit.Value) (wit.Value, error) {
	name := a[0].(string)
	if _, err := s.containerThere(name); err != nil {
		return blobResult(nil, err)
	}
	rep, err := s.add(&container{name}, 0)
	return ok(rep), err
}

// containerThere finds out about a container that is to be there.
func (s *System) containerThere(name string) (blobstore.Stat, error) {
	found, err := s.containers.Container(name)
	if err == nil && !found.Exists {
		err = &blobstore.Error{Reason: "there is no container " + strconv.Quote(name)}
	}
	return found, err
}

func deleteContainer(s *System, a []wit.Value) (wit.Value, error) {
	return blobResult(nil, s.containers.Remove(a[0].(string)))
}

func containerExists(s *System, a []wit.Value) (wit.Value, error) {
	found, err := s.containers.Container(a[0].(string))
	return blobResult(found.Exists, err)
}

// transferring is a function that gives an object the content of another one.
func transferring(do func(c *blobstore.Containers, container, name, toContainer, toName string) error) call {
	return func(s *System, a []wit.Value) (wit.Value, error) {
		src, dest := a[0].([]wit.Value), a[1].([]wit.Value)
		return blobResult(nil, do(s.containers, src[0].(string), src[1].(string), dest[0].(string), dest[1].(string)))
	}
}

func containerName(_ *System, b *container, _ []wit.Value) (wit.Value, error) { return ok(b.name), nil }

func containerInfo(s *System, b *container, _ []wit.Value) (wit.Value, error) {
	found, err := s.containerThere(b.name)
	return blobResult([]wit.Value{b.name, blobTime(found)}, err)
}

// blobTime is when something was made, as the draft is used: in seconds.
func blobTime(found blobstore.Stat) uint64 { return uint64(max(0, found.Created.Unix())) }

func getData(s *System, b *container, a []wit.Value) (wit.Value, error) {
	r, err := s.containers.Open(b.name, a[1].(string), a[2].(uint64), a[3].(uint64))
	if err != nil {
		return blobResult(nil, err)
	}
	rep, err := s.add(&incomingValue{r}, 0)
	return ok(rep), err
}

// writeData says where a value belongs, before or behind its bytes are written. It is
// there once the value is finished.
func writeData(s *System, b *container, a []wit.Value) (wit.Value, error) {
	v, err := get[*outgoingValue](s, a[2])
	if err != nil {
		return nil, err
	}
	name := a[1].(string)
	if _, err := s.containers.Object(b.name, name); err != nil {
		return blobResult(nil, err)
	}
	if v.container != "" {
		return failed("the value belongs to " + strconv.Quote(v.name) + " of container " + strconv.Quote(v.container) + " already"), nil
	}
	if err := s.hold(len(b.name) + len(name)); err != nil {
		return nil, err
	}
	v.container, v.name = b.name, name
	return ok(nil), nil
}

func listObjects(s *System, b *container, _ []wit.Value) (wit.Value, error) {
	if _, err := s.containerThere(b.name); err != nil {
		return blobResult(nil, err)
	}
	rep, err := s.add(&objectNames{container: b.name}, 0)
	return ok(rep), err
}

func deleteObject(s *System, b *container, a []wit.Value) (wit.Value, error) {
	return blobResult(nil, s.containers.Delete(b.name, a[1].(string)))
}

// deleteObjects deletes one after the other. After a failure those before it are
// deleted.
func deleteObjects(s *System, b *container, a []wit.Value) (wit.Value, error) {
	names := a[1].([]wit.Value)
	if len(names) > blobstore.MaxNames {
		return failed("one call can have " + strconv.Itoa(blobstore.MaxNames) + " names"), nil
	}
	for _, name := range names {
		if err := s.containers.Delete(b.name, name.(string)); err != nil {
			return blobResult(nil, err)
		}
	}
	return ok(nil), nil
}

func hasObject(s *System, b *container, a []wit.Value) (wit.Value, error) {
	found, err := s.containers.Object(b.name, a[1].(string))
	return blobResult(found.Exists, err)
}

func objectInfo(s *System, b *container, a []wit.Value) (wit.Value, error) {
	name := a[1].(string)
	found, err := s.containers.Object(b.name, name)
	if err == nil && !found.Exists {
		return failed("there is no object " + strconv.Quote(name) + " of container " + strconv.Quote(b.name)), nil
	}
	return blobResult([]wit.Value{name, b.name, blobTime(found), found.Size}, err)
}

func clearContainer(s *System, b *container, _ []wit.Value) (wit.Value, error) {
	return blobResult(nil, s.containers.Clear(b.name))
}

func readNames(s *System, n *objectNames, a []wit.Value) (wit.Value, error) {
	names, more, err := s.containers.Names(n.container, n.behind, a[1].(uint64))
	if err != nil {
		return blobResult(nil, err)
	}
	values := make([]wit.Value, len(names))
	for i, name := range names {
		values[i], n.behind = name, name
	}
	return ok([]wit.Value{values, !more}), nil
}

func skipNames(s *System, n *objectNames, a []wit.Value) (wit.Value, error) {
	skipped, last, more, err := s.containers.Skip(n.container, n.behind, a[1].(uint64))
	if err != nil {
		return blobResult(nil, err)
	}
	n.behind = last
	return ok([]wit.Value{skipped, !more}), nil
}
