package wasip1

import "github.com/waterbear-run/waterbear/internal/host/filesystem"

// errno is an error number of WASI 0.1.
type errno uint32

// The error numbers in use, by their names in the specification.
const (
	success        errno = 0
	errAccess      errno = 2
	errAgain       errno = 6
	errBadFile     errno = 8
	errBusy        errno = 10
	errQuota       errno = 19
	errExist       errno = 20
	errFault       errno = 21
	errTooBig      errno = 22
	errEncoding    errno = 25
	errInvalid     errno = 28
	errIO          errno = 29
	errIsDirectory errno = 31
	errLoop        errno = 32
	errManyFiles   errno = 33
	errManyLinks   errno = 34
	errNameTooLong errno = 37
	errNotExist    errno = 44
	errNoSpace     errno = 51
	errNotDir      errno = 54
	errNotEmpty    errno = 55
	errNotSocket   errno = 57
	errNotSup      errno = 58
	errPermission  errno = 63
	errSeek        errno = 70
	errNotCapable  errno = 76
)

// seenErrno translates what a program is to see of its file system.
func seenErrno(e filesystem.Error) errno {
	switch e {
	case filesystem.ErrAccess:
		return errAccess
	case filesystem.ErrBusy:
		return errBusy
	case filesystem.ErrEncoding:
		return errEncoding
	case filesystem.ErrEscape, filesystem.ErrPermission:
		return errPermission
	case filesystem.ErrExist:
		return errExist
	case filesystem.ErrInvalid:
		return errInvalid
	case filesystem.ErrIsDirectory:
		return errIsDirectory
	case filesystem.ErrLoop:
		return errLoop
	case filesystem.ErrNameTooLong:
		return errNameTooLong
	case filesystem.ErrNoSpace:
		return errNoSpace
	case filesystem.ErrNotDirectory:
		return errNotDir
	case filesystem.ErrNotEmpty:
		return errNotEmpty
	case filesystem.ErrNotExist:
		return errNotExist
	case filesystem.ErrQuota:
		return errQuota
	case filesystem.ErrStale:
		return errBadFile
	case filesystem.ErrTooBig:
		return errTooBig
	case filesystem.ErrTooManyLinks:
		return errManyLinks
	}
	return errIO
}

// rights are what a descriptor may be used for.
type rights uint64

// The rights, in the order of their bits.
const (
	rightDatasync rights = 1 << iota
	rightRead
	rightSeek
	rightSetFlags
	rightSync
	rightTell
	rightWrite
	rightAdvise
	rightAllocate
	rightCreateDirectory
	rightCreateFile
	rightLinkSource
	rightLinkTarget
	rightOpen
	rightReaddir
	rightReadlink
	rightRenameSource
	rightRenameTarget
	rightPathStat
	rightPathSetSize
	rightPathSetTimes
	rightStat
	rightSetSize
	rightSetTimes
	rightSymlink
	rightRemoveDirectory
	rightUnlink
	rightPoll
	rightShutdown
	rightAccept
	allRights = 1<<iota - 1
)

// What the kinds of descriptors can be used for at all.
const (
	fileRights = rightDatasync | rightRead | rightSeek | rightSetFlags | rightSync | rightTell | rightWrite |
		rightAdvise | rightAllocate | rightStat | rightSetSize | rightSetTimes | rightPoll
	directoryRights = rightDatasync | rightSetFlags | rightSync | rightCreateDirectory | rightCreateFile |
		rightLinkSource | rightLinkTarget | rightOpen | rightReaddir | rightReadlink | rightRenameSource |
		rightRenameTarget | rightPathStat | rightPathSetSize | rightPathSetTimes | rightStat | rightSetTimes |
		rightSymlink | rightRemoveDirectory | rightUnlink | rightPoll
	streamRights = rightSetFlags | rightStat | rightPoll
)

// File types.
const (
	typeUnknown         = 0
	typeCharacterDevice = 2
	typeDirectory       = 3
	typeRegular         = 4
	typeSymlink         = 7
)

func typeOf(k filesystem.Kind) byte {
	switch k {
	case filesystem.File:
		return typeRegular
	case filesystem.Directory:
		return typeDirectory
	case filesystem.Symlink:
		return typeSymlink
	}
	return typeUnknown
}

// Descriptor flags.
const (
	flagAppend   = 1 << 0
	flagNonblock = 1 << 2
	fdFlags      = 1<<5 - 1
)

// Flags of path_open and of looking up paths.
const (
	openCreate    = 1 << 0
	openDirectory = 1 << 1
	openExclusive = 1 << 2
	openTruncate  = 1 << 3
	openFlags     = 1<<4 - 1

	lookupFollow = 1 << 0
	lookupFlags  = 1<<1 - 1
)

// Flags of setting times.
const (
	setAtime    = 1 << 0
	setAtimeNow = 1 << 1
	setMtime    = 1 << 2
	setMtimeNow = 1 << 3
	setFlags    = 1<<4 - 1
)

// Sizes of the structures in the program's memory.
const (
	sizeIovec        = 8
	sizeDirent       = 24
	sizeEvent        = 32
	sizeFdstat       = 24
	sizeFilestat     = 64
	sizePrestat      = 8
	sizeSubscription = 48
)

// device is what files have for a device number: there is one.
const device = 1
