package server

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"

	"github.com/waterbear-run/waterbear/api"
)

// maxPath is the longest path of a file, in bytes.
const maxPath = 4096

// pieceSize is how many bytes of a file or an archive have one deadline.
const pieceSize = 64 << 10

func (s *Server) addFiles() {
	add(s, "list-files", func(ctx context.Context, _ *exchange, in *OfWorker) (*body[api.Page[api.File]], error) {
		list, err := s.config.Platform.Files(ctx, in.Component, in.Worker)
		return page(list, ""), err
	})
	add(s, "get-file", s.getFile)
	add(s, "export-worker", func(ctx context.Context, x *exchange, in *OfWorker) (*status200, error) {
		x.Header().Set("Content-Disposition", attachment(in.Component+"-"+in.Worker+".tar"))
		w := s.newPieces(x, mediaTar)
		err := s.config.Platform.Export(ctx, in.Component, in.Worker, w)
		if err != nil && !w.begun {
			x.Header().Del("Content-Disposition")
			return nil, err
		}
		return nil, w.end(err)
	})
}

// status200 is the answer of operations that write it themselves.
type status200 struct {
	Status int
}

func (s *Server) getFile(ctx context.Context, x *exchange, in *struct {
	OfWorker
	Path string `path:"path" doc:"Absolute path of the file, without the first slash" example:"etc/hosts"`
},
) (*status200, error) {
	name := "/" + in.Path
	if path.Clean(name) != name || len(name) > maxPath || strings.ContainsRune(name, 0) {
		return nil, invalid("path.path", "it is not the path of a file, without empty elements, \".\", \"..\" and NUL, of at most %d bytes", maxPath)
	}
	f, content, err := s.config.Platform.File(ctx, in.Component, in.Worker, name)
	if err != nil {
		return nil, err
	}
	defer content.Close()
	h := x.Header()
	h.Set("Content-Length", strconv.FormatInt(f.Size, 10))
	h.Set("Content-Disposition", attachment(path.Base(name)))
	if !f.Modified.IsZero() {
		h.Set("Last-Modified", f.Modified.UTC().Format(http.TimeFormat))
	}
	w := s.newPieces(x, mediaBytes)
	n, err := io.Copy(w, io.LimitReader(content, f.Size))
	if err == nil && n < f.Size {
		err = io.ErrUnexpectedEOF
	}
	return nil, w.end(err)
}

// attachment keeps a browser from showing what a guest has written.
func attachment(name string) string {
	if v := mime.FormatMediaType("attachment", map[string]string{"filename": name}); v != "" {
		return v
	}
	return "attachment"
}

// pieces is an answer of any length, of which the client has to take each piece
// in time.
type pieces struct {
	s       *Server
	x       *exchange
	control *http.ResponseController
	begun   bool
}

func (s *Server) newPieces(x *exchange, media string) *pieces {
	x.Header().Set("Content-Type", media)
	w := &pieces{s: s, x: x, control: http.NewResponseController(x)}
	// Before the first byte there may be a long replay.
	_ = w.control.SetWriteDeadline(noDeadline)
	return w
}

func (w *pieces) Write(b []byte) (int, error) {
	w.begun = true
	written := 0
	for len(b) > 0 {
		piece := b[:min(len(b), pieceSize)]
		_ = w.control.SetWriteDeadline(w.s.writeBy())
		n, err := w.x.Write(piece)
		written += n
		if err != nil {
			return written, err
		}
		b = b[n:]
	}
	return written, nil
}

// end ends the answer: a client whose connection breaks off knows that it has
// not got all.
func (w *pieces) end(err error) error {
	if err == nil {
		_ = w.control.SetWriteDeadline(w.s.writeBy())
		w.x.WriteHeader(http.StatusOK) // of nothing
		return nil
	}
	var p *api.Problem
	if !errors.As(err, &p) && w.x.status != 0 {
		w.s.config.Log.Warn("an answer broke off", "request", w.x.id, "operation", w.x.route.id, "error", err)
	}
	w.x.cutOff(err)
	return nil
}
