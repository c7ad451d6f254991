package wasip2

import (
	"github.com/waterbear-run/waterbear/internal/host/filesystem"
	"github.com/waterbear-run/waterbear/internal/host/socket"
	"github.com/waterbear-run/waterbear/internal/host/wasi"
	"github.com/waterbear-run/waterbear/wit"
)

var errorResource = &wit.Resource{Name: "error"}

// ioError is wasi:io/error.
func ioError() interfaceOf {
	return interfaceOf{
		name: "wasi:io/error", resources: []*wit.Resource{errorResource},
		functions: []function{
			{name: "[method]error.to-debug-string", typ: fnTo(tString, self(errorResource)), call: on(errorText)},
		},
	}
}

// streamError is an error resource: why an operation on a stream has failed. One
// of its fields is set.
type streamError struct {
	file filesystem.Error
	http *httpError
	net  socket.Code // of a socket's stream
	blob string      // of an object's
}

func (*streamError) kind() kind { return kindError }

func (e *streamError) code(c *wasi.Coder) {
	wasi.Text(c, &e.file, maxErrorText)
	var of uint8 // the file system, HTTP, a socket or an object
	switch {
	case e.http != nil:
		of = 1
	case e.net != socket.OK:
		of = 2
	case e.blob != "":
		of = 3
	}
	switch wasi.Uint(c, &of, 3); of {
	case 1:
		if c.Reading() {
			e.http = new(httpError)
		}
		e.http.code(c)
	case 2:
		wasi.Uint(c, &e.net, socket.LastCode)
	case 3:
		wasi.Text(c, &e.blob, maxBlobError)
	}
}

// maxErrorText bounds the text of a file system's error.
const maxErrorText = 64

func errorText(s *System, e *streamError, _ []wit.Value) (wit.Value, error) {
	switch {
	case e.http != nil:
		return e.http.Error(), nil
	case e.net != socket.OK:
		return e.net.String(), nil
	case e.blob != "":
		return e.blob, nil
	}
	return e.file.Error(), nil
}
