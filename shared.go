package waterbear

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/host/blobstore"
	"github.com/waterbear-run/waterbear/internal/host/keyvalue"
	"github.com/waterbear-run/waterbear/internal/storage"
)

// maxShared is how many bytes a component may have in its buckets and containers.
func (p *Platform) maxShared(component string) uint64 {
	own := uint64(0)
	if s := p.catalog.Settings(component); s != nil {
		own = s.Limits.Shared
	}
	return cmp.Or(own, p.options.Defaults.Limits.Shared, DefaultShared)
}

// Buckets lists up to limit buckets of a component behind cursor ("": from the
// first), by name.
func (p *Platform) Buckets(ctx context.Context, component, cursor string, limit int) (api.Page[api.Bucket], error) {
	r, behind, err := p.shared(ctx, component, cursor)
	if err != nil {
		return api.Page[api.Bucket]{}, err
	}
	return pageOf(p.buckets.Buckets(ctx, component, behind), limit, func(name string) (string, api.Bucket) {
		return name, api.Bucket{Name: r.text(name)}
	})
}

// Keys lists up to limit keys of a bucket behind cursor, in order.
func (p *Platform) Keys(ctx context.Context, component, bucket, cursor string, limit int) (api.Page[api.Value], error) {
	r, behind, err := p.shared(ctx, component, cursor)
	if err != nil {
		return api.Page[api.Value]{}, err
	}
	return pageOf(p.buckets.Entries(ctx, component, bucket, orEmpty(behind)), limit, func(e keyvalue.Entry) (string, api.Value) {
		return e.Key, api.Value{Key: r.text(e.Key), Size: uint64(e.Size), Written: e.Written}
	})
}

// Value gives the value of a key. Secrets are not shown.
func (p *Platform) Value(ctx context.Context, component, bucket, key string) ([]byte, error) {
	r, _, err := p.shared(ctx, component, "")
	if err != nil {
		return nil, err
	}
	v, there, err := p.buckets.Value(ctx, component, bucket, key)
	if err == nil && !there {
		err = noKey(bucket, key)
	}
	return r.bytes(v), sharedProblem(err)
}

// DeleteValue takes a key away.
func (p *Platform) DeleteValue(ctx context.Context, component, bucket, key string) error {
	if _, _, err := p.shared(ctx, component, ""); err != nil {
		return err
	}
	there, err := p.buckets.Delete(ctx, component, bucket, key)
	if err == nil && !there {
		err = noKey(bucket, key)
	}
	return sharedProblem(err)
}

func noKey(bucket, key string) error {
	return api.NewProblem(api.CodeNoKey, fmt.Sprintf("bucket %q has no key %q", bucket, key))
}

// Containers lists up to limit containers of a component behind cursor ("": from the
// first), by name.
func (p *Platform) Containers(ctx context.Context, component, cursor string, limit int) (api.Page[api.Container], error) {
	r, behind, err := p.shared(ctx, component, cursor)
	if err != nil {
		return api.Page[api.Container]{}, err
	}
	return pageOf(p.containers.Containers(ctx, component, orEmpty(behind)), limit, func(e blobstore.Entry) (string, api.Container) {
		return e.Name, api.Container{Name: r.text(e.Name), Created: e.Created}
	})
}

// Objects lists up to limit objects of a container behind cursor, by name.
func (p *Platform) Objects(ctx context.Context, component, container, cursor string, limit int) (api.Page[api.Object], error) {
	r, behind, err := p.shared(ctx, component, cursor)
	if err != nil {
		return api.Page[api.Object]{}, err
	}
	return pageOf(p.containers.Objects(ctx, component, container, orEmpty(behind)), limit, func(e blobstore.Entry) (string, api.Object) {
		return e.Name, api.Object{Name: r.text(e.Name), Size: e.Size, Created: e.Created}
	})
}

// Object opens an object of a container, as its programs have written it.
func (p *Platform) Object(ctx context.Context, component, container, name string) (api.Object, io.Reader, error) {
	if _, _, err := p.shared(ctx, component, ""); err != nil {
		return api.Object{}, nil, err
	}
	e, content, err := p.containers.OpenObject(ctx, component, container, name)
	return api.Object{Name: e.Name, Size: e.Size, Created: e.Created}, content, sharedProblem(err)
}

// DeleteObject deletes an object, and DeleteContainer a container with all that is in
// it.
func (p *Platform) DeleteObject(ctx context.Context, component, container, name string) error {
	_, _, err := p.shared(ctx, component, "")
	if err == nil {
		err = sharedProblem(p.containers.DeleteObject(ctx, component, container, name))
	}
	return err
}

// DeleteContainer deletes a container: see DeleteObject.
func (p *Platform) DeleteContainer(ctx context.Context, component, container string) error {
	_, _, err := p.shared(ctx, component, "")
	if err == nil {
		err = sharedProblem(p.containers.RemoveContainer(ctx, component, container))
	}
	return err
}

// shared finds the component, how secrets are kept from being shown of what its
// programs share, and behind which name a page of a list begins, if behind any.
func (p *Platform) shared(ctx context.Context, component, cursor string) (r redaction, behind *string, err error) {
	if _, err := p.catalog.Component(ctx, component); err != nil {
		return r, nil, err
	}
	if cursor != "" {
		name, err := base64.RawURLEncoding.DecodeString(cursor)
		if err != nil || !strings.HasPrefix(string(name), cursorMark) {
			return r, nil, api.NewProblem(api.CodeInvalid, "the cursor is none of a page before")
		}
		of := string(name[len(cursorMark):])
		behind = &of
	}
	r, err = p.redaction(ctx, component)
	return r, behind, err
}

// cursorMark is before the name in a cursor, so that none is empty.
const cursorMark = "/"

func orEmpty(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// pageOf makes a page of a list, of what show gives of each: its name and itself.
func pageOf[E, T any](list iter.Seq2[E, error], limit int, show func(E) (string, T)) (page api.Page[T], err error) {
	last := ""
	for e, err := range list {
		if err != nil {
			return api.Page[T]{}, sharedProblem(err)
		}
		if len(page.Items) == limit {
			page.Next = base64.RawURLEncoding.EncodeToString([]byte(cursorMark + last))
			break
		}
		var item T
		last, item = show(e)
		page.Items = append(page.Items, item)
	}
	return page, nil
}

// sharedProblem explains why what programs share cannot be had.
func sharedProblem(err error) error {
	switch {
	case errors.Is(err, blobstore.ErrNoContainer):
		return api.NewProblem(api.CodeNoContainer, err.Error())
	case errors.Is(err, blobstore.ErrNoObject):
		return api.NewProblem(api.CodeNoObject, err.Error())
	case damaged(err):
		return api.NewProblem(api.CodeDamaged, err.Error())
	case errors.Is(err, storage.ErrFull):
		return api.NewProblem(api.CodeDiskFull, err.Error())
	}
	return err
}
