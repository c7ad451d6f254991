package wasip2

import "github.com/waterbear-run/waterbear/wit"

var (
	descriptorResource = &wit.Resource{Name: "descriptor"}
	entryStream        = &wit.Resource{Name: "directory-entry-stream"}

	tFilesize = tU64

	descriptorType = enum("descriptor-type", "unknown", "block-device", "character-device", "directory", "fifo",
		"symbolic-link", "regular-file", "socket")
	descriptorFlags = flags("descriptor-flags", "read", "write", "file-integrity-sync", "data-integrity-sync",
		"requested-write-sync", "mutate-directory")
	descriptorStat = record("descriptor-stat",
		part("type", descriptorType), part("link-count", tU64), part("size", tFilesize),
		part("data-access-timestamp", option(datetime)), part("data-modification-timestamp", option(datetime)),
		part("status-change-timestamp", option(datetime)))
	pathFlags    = flags("path-flags", "symlink-follow")
	openFlags    = flags("open-flags", "create", "directory", "exclusive", "truncate")
	newTimestamp = variant("new-timestamp", part("no-change", nil), part("now", nil), part("timestamp", datetime))
	dirEntry     = record("directory-entry", part("type", descriptorType), part("name", tString))
	fileError    = enum("error-code", "access", "would-block", "already", "bad-descriptor", "busy", "deadlock",
		"quota", "exist", "file-too-large", "illegal-byte-sequence", "in-progress", "interrupted", "invalid", "io",
		"is-directory", "loop", "too-many-links", "message-size", "name-too-long", "no-device", "no-entry", "no-lock",
		"insufficient-memory", "insufficient-space", "not-directory", "not-empty", "not-recoverable", "unsupported",
		"no-tty", "no-such-device", "overflow", "not-permitted", "pipe", "read-only", "invalid-seek",
		"text-file-busy", "cross-device")
	advice       = enum("advice", "normal", "sequential", "random", "will-need", "dont-need", "no-reuse")
	metadataHash = record("metadata-hash-value", part("lower", tU64), part("upper", tU64))
)

// Values of descriptor-type.
const (
	typeUnknown = iota
	typeBlockDevice
	typeCharacterDevice
	typeDirectory
	typeFIFO
	typeSymlink
	typeRegular
)

// Values of descriptor-flags.
const (
	flagRead uint32 = 1 << iota
	flagWrite
	flagFileSync
	flagDataSync
	flagReadSync
	flagMutate
	allFlags = 1<<iota - 1
)

// Values of path-flags and open-flags.
const (
	pathFollow uint32 = 1 << 0

	openCreate    uint32 = 1 << 0
	openDirectory uint32 = 1 << 1
	openExclusive uint32 = 1 << 2
	openTruncate  uint32 = 1 << 3
)

// Cases of new-timestamp.
const (
	timeNoChange = iota
	timeNow
	timeGiven
)

// filesystemTypes is wasi:filesystem/types.
func filesystemTypes() interfaceOf {
	d := self(descriptorResource)
	orError := func(t *wit.Type) *wit.Type { return result(t, fileError) }
	offset, length := param("offset", tFilesize), param("length", tFilesize)
	at, path, newPath := param("path-flags", pathFlags), param("path", tString), param("new-path", tString)
	atime, mtime := param("data-access-timestamp", newTimestamp), param("data-modification-timestamp", newTimestamp)
	target := param("new-descriptor", borrow(descriptorResource))
	nothing := orError(nil)
	return interfaceOf{
		name: "wasi:filesystem/types", resources: []*wit.Resource{descriptorResource, entryStream},
		functions: []function{
			{name: "[method]descriptor.read-via-stream", typ: fnTo(orError(own(inputStream)), d, offset), call: readViaStream},
			{name: "[method]descriptor.write-via-stream", typ: fnTo(orError(own(outputStream)), d, offset), call: writeViaStream},
			{name: "[method]descriptor.append-via-stream", typ: fnTo(orError(own(outputStream)), d), call: appendViaStream},
			{name: "[method]descriptor.advise", typ: fnTo(nothing, d, offset, length, param("advice", advice)), call: advise},
			{name: "[method]descriptor.sync-data", typ: fnTo(nothing, d), call: synchronize},
			{name: "[method]descriptor.get-flags", typ: fnTo(orError(descriptorFlags), d), call: on(getFlags)},
			{name: "[method]descriptor.get-type", typ: fnTo(orError(descriptorType), d), call: on(getType)},
			{name: "[method]descriptor.set-size", typ: fnTo(nothing, d, param("size", tFilesize)), call: setSize},
			{name: "[method]descriptor.set-times", typ: fnTo(nothing, d, atime, mtime), call: setTimes},
			{name: "[method]descriptor.read", typ: fnTo(orError(tuple(tBytes, tBool)), d, length, offset), call: readAt},
			{name: "[method]descriptor.write", typ: fnTo(orError(tFilesize), d, param("buffer", tBytes), offset), call: writeAt, aliased: true},
			{name: "[method]descriptor.read-directory", typ: fnTo(orError(own(entryStream)), d), call: readDirectory},
			{name: "[method]descriptor.sync", typ: fnTo(nothing, d), call: synchronize},
			{name: "[method]descriptor.create-directory-at", typ: fnTo(nothing, d, path), call: createDirectoryAt},
			{name: "[method]descriptor.stat", typ: fnTo(orError(descriptorStat), d), call: on(stat)},
			{name: "[method]descriptor.stat-at", typ: fnTo(orError(descriptorStat), d, at, path), call: statAt},
			{name: "[method]descriptor.set-times-at", typ: fnTo(nothing, d, at, path, atime, mtime), call: setTimesAt},
			{name: "[method]descriptor.link-at", typ: fnTo(nothing, d, param("old-path-flags", pathFlags), param("old-path", tString), target, newPath), call: linkAt},
			{name: "[method]descriptor.open-at", typ: fnTo(orError(own(descriptorResource)), d, at, path, param("open-flags", openFlags), param("flags", descriptorFlags)), call: openAt},
			{name: "[method]descriptor.readlink-at", typ: fnTo(orError(tString), d, path), call: readlinkAt},
			{name: "[method]descriptor.remove-directory-at", typ: fnTo(nothing, d, path), call: removeDirectoryAt},
			{name: "[method]descriptor.rename-at", typ: fnTo(nothing, d, param("old-path", tString), target, newPath), call: renameAt},
			{name: "[method]descriptor.symlink-at", typ: fnTo(nothing, d, param("old-path", tString), newPath), call: symlinkAt},
			{name: "[method]descriptor.unlink-file-at", typ: fnTo(nothing, d, path), call: unlinkFileAt},
			{name: "[method]descriptor.is-same-object", typ: fnTo(tBool, d, param("other", borrow(descriptorResource))), call: on(isSameObject)},
			{name: "[method]descriptor.metadata-hash", typ: fnTo(orError(metadataHash), d), call: on(hashMetadata)},
			{name: "[method]descriptor.metadata-hash-at", typ: fnTo(orError(metadataHash), d, at, path), call: hashMetadataAt},
			{name: "[method]directory-entry-stream.read-directory-entry", typ: fnTo(orError(option(dirEntry)), self(entryStream)), call: on(readDirectoryEntry)},
			{name: "filesystem-error-code", typ: fnTo(option(fileError), param("err", borrow(errorResource))), call: on(fileErrorCode)},
		},
	}
}
