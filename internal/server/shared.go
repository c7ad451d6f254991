package server

import (
	"context"
	"io"
	"net/http"
	"strconv"

	"github.com/waterbear-run/waterbear/api"
)

// InPage is a place in a list.
type InPage struct {
	Cursor string `query:"cursor" maxLength:"1024" doc:"The next of the page before"`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"Of items in a page"`
}

// OfBucket is what operations on a bucket take.
type OfBucket struct {
	OfComponent
	Bucket string `query:"bucket" maxLength:"64" doc:"Its name; without it, the bucket that has none"`
}

// OfKey is what operations on a value take.
type OfKey struct {
	OfBucket
	Key string `query:"key" required:"true" minLength:"1" maxLength:"256" doc:"The key, 1 to 256 bytes of UTF-8"`
}

// OfContainer is what operations on a container take.
type OfContainer struct {
	OfComponent
	Container string `query:"container" required:"true" minLength:"1" maxLength:"64" doc:"Its name"`
}

// OfObject is what operations on an object take.
type OfObject struct {
	OfContainer
	Name string `query:"name" required:"true" minLength:"1" maxLength:"256" doc:"Of the object"`
}

func (s *Server) addShared() {
	platform := s.config.Platform
	add(s, "list-buckets", func(ctx context.Context, _ *exchange, in *struct {
		OfComponent
		InPage
	},
	) (*body[api.Page[api.Bucket]], error) {
		p, err := platform.Buckets(ctx, in.Component, in.Cursor, in.Limit)
		return page(p.Items, p.Next), err
	})
	add(s, "list-keys", func(ctx context.Context, _ *exchange, in *struct {
		OfBucket
		InPage
	},
	) (*body[api.Page[api.Value]], error) {
		p, err := platform.Keys(ctx, in.Component, in.Bucket, in.Cursor, in.Limit)
		return page(p.Items, p.Next), err
	})
	add(s, "get-value", func(ctx context.Context, x *exchange, in *OfKey) (*status200, error) {
		value, err := platform.Value(ctx, in.Component, in.Bucket, in.Key)
		if err != nil {
			return nil, err
		}
		w := s.newPieces(x, mediaBytes)
		_, err = w.Write(value)
		return nil, w.end(err)
	})
	add(s, "delete-value", func(ctx context.Context, _ *exchange, in *OfKey) (*none, error) {
		return nil, platform.DeleteValue(ctx, in.Component, in.Bucket, in.Key)
	})
	add(s, "list-containers", func(ctx context.Context, _ *exchange, in *struct {
		OfComponent
		InPage
	},
	) (*body[api.Page[api.Container]], error) {
		p, err := platform.Containers(ctx, in.Component, in.Cursor, in.Limit)
		return page(p.Items, p.Next), err
	})
	add(s, "delete-container", func(ctx context.Context, _ *exchange, in *OfContainer) (*none, error) {
		return nil, platform.DeleteContainer(ctx, in.Component, in.Container)
	})
	add(s, "list-objects", func(ctx context.Context, _ *exchange, in *struct {
		OfContainer
		InPage
	},
	) (*body[api.Page[api.Object]], error) {
		p, err := platform.Objects(ctx, in.Component, in.Container, in.Cursor, in.Limit)
		return page(p.Items, p.Next), err
	})
	add(s, "get-object", s.getObject)
	add(s, "delete-object", func(ctx context.Context, _ *exchange, in *OfObject) (*none, error) {
		return nil, platform.DeleteObject(ctx, in.Component, in.Container, in.Name)
	})
}

func (s *Server) getObject(ctx context.Context, x *exchange, in *OfObject) (*status200, error) {
	o, content, err := s.config.Platform.Object(ctx, in.Component, in.Container, in.Name)
	if err != nil {
		return nil, err
	}
	h := x.Header()
	h.Set("Content-Length", strconv.FormatUint(o.Size, 10))
	h.Set("Content-Disposition", attachment("object"))
	h.Set("Last-Modified", o.Created.UTC().Format(http.TimeFormat))
	w := s.newPieces(x, mediaBytes)
	_, err = io.Copy(w, content)
	return nil, w.end(err)
}
