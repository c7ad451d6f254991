package wasip2

import (
	"errors"

	"github.com/waterbear-run/waterbear/internal/host/filesystem"
	"github.com/waterbear-run/waterbear/wit"
)

// Failures that come not from the file system but from how a descriptor was
// opened or is used.
const (
	errBadDescriptor filesystem.Error = "bad descriptor"
	errOverflow      filesystem.Error = "value too large"
	errTooManyOpen   filesystem.Error = "too many open files"
)

// fileErrors are the labels of error-code that failures have. That too many
// files are open has none; it is a lack of a resource as that of memory is.
var fileErrors = map[filesystem.Error]string{
	filesystem.ErrAccess:       "access",
	filesystem.ErrBusy:         "busy",
	filesystem.ErrEncoding:     "illegal-byte-sequence",
	filesystem.ErrEscape:       "not-permitted",
	filesystem.ErrExist:        "exist",
	filesystem.ErrInvalid:      "invalid",
	filesystem.ErrIO:           "io",
	filesystem.ErrIsDirectory:  "is-directory",
	filesystem.ErrLoop:         "loop",
	filesystem.ErrNameTooLong:  "name-too-long",
	filesystem.ErrNoSpace:      "insufficient-space",
	filesystem.ErrNotDirectory: "not-directory",
	filesystem.ErrNotEmpty:     "not-empty",
	filesystem.ErrNotExist:     "no-entry",
	filesystem.ErrPermission:   "not-permitted",
	filesystem.ErrQuota:        "quota",
	filesystem.ErrStale:        "bad-descriptor",
	filesystem.ErrTooBig:       "file-too-large",
	filesystem.ErrTooManyLinks: "too-many-links",
	errBadDescriptor:           "bad-descriptor",
	errOverflow:                "overflow",
	errTooManyOpen:             "insufficient-memory",
}

// fileCode is the error-code of a failure.
func fileCode(e filesystem.Error) wit.Value {
	name, known := fileErrors[e]
	if !known {
		name = "io"
	}
	for i, f := range fileError.Fields {
		if f.Name == name {
			return label(uint32(i))
		}
	}
	panic("wasip2: error-code has no label " + name)
}

// fileResult is how the program sees that an operation on files has ended.
func fileResult(v wit.Value, err error) (wit.Value, error) {
	var seen filesystem.Error
	switch {
	case err == nil:
		return ok(v), nil
	case errors.As(err, &seen):
		return failed(fileCode(seen)), nil
	}
	return nil, err
}

// fileErrorCode is what an error of a stream was in terms of files.
func fileErrorCode(s *System, e *streamError, _ []wit.Value) (wit.Value, error) {
	if e.file == "" {
		return none, nil
	}
	return some(fileCode(e.file)), nil
}
