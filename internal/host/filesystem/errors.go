package filesystem

import "io/fs"

// Error is a failure that a program is to see. Operations return it bare, so
// that adapters can look it up and nothing is allocated; any other error is
// the host's, such as content that cannot be fetched.
type Error string

// The failures of POSIX that can happen here.
const (
	ErrAccess       Error = "permission denied"
	ErrBusy         Error = "resource busy"
	ErrEncoding     Error = "name is not UTF-8"
	ErrEscape       Error = "path leads out of its directory"
	ErrExist        Error = "file exists"
	ErrInvalid      Error = "invalid argument"
	ErrIO           Error = "input/output error"
	ErrIsDirectory  Error = "is a directory"
	ErrLoop         Error = "too many symbolic links"
	ErrNameTooLong  Error = "name too long"
	ErrNoSpace      Error = "no space left"
	ErrNotDirectory Error = "not a directory"
	ErrNotEmpty     Error = "directory not empty"
	ErrNotExist     Error = "no such file or directory"
	ErrPermission   Error = "operation not permitted"
	ErrQuota        Error = "too many files"
	ErrStale        Error = "no such inode"
	ErrTooBig       Error = "file too large"
	ErrTooManyLinks Error = "too many links"
)

// Error says what went wrong.
func (e Error) Error() string { return string(e) }

// Is lets code that reads files as io/fs does ask its own questions.
func (e Error) Is(target error) bool {
	switch target {
	case fs.ErrNotExist:
		return e == ErrNotExist
	case fs.ErrExist:
		return e == ErrExist
	case fs.ErrPermission:
		return e == ErrAccess || e == ErrPermission || e == ErrEscape
	case fs.ErrInvalid:
		return e == ErrInvalid
	}
	return false
}
