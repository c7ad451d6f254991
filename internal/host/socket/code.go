package socket

import "fmt"

// Code says how an operation went: OK, or one of the cases of error-code of
// wasi:sockets/network, by its number there plus one.
type Code uint8

// The codes that a host gives.
const (
	OK                 Code = 0
	Unknown            Code = 1
	AccessDenied       Code = 2
	NotSupported       Code = 3
	InvalidArgument    Code = 4
	OutOfMemory        Code = 5
	Timeout            Code = 6
	NotInProgress      Code = 8
	WouldBlock         Code = 9
	InvalidState       Code = 10
	NewSocketLimit     Code = 11
	AddressNotBindable Code = 12
	AddressInUse       Code = 13
	RemoteUnreachable  Code = 14
	ConnectionRefused  Code = 15
	ConnectionReset    Code = 16
	ConnectionAborted  Code = 17
	DatagramTooLarge   Code = 18
	NameUnresolvable   Code = 19
	TemporaryResolver  Code = 20
	PermanentResolver  Code = 21
)

var codeNames = [...]string{
	"ok", "unknown", "access-denied", "not-supported", "invalid-argument", "out-of-memory", "timeout", "concurrency-conflict",
	"not-in-progress", "would-block", "invalid-state", "new-socket-limit", "address-not-bindable", "address-in-use", "remote-unreachable",
	"connection-refused", "connection-reset", "connection-aborted", "datagram-too-large", "name-unresolvable",
	"temporary-resolver-failure", "permanent-resolver-failure",
}

// LastCode is the greatest of them.
const LastCode = PermanentResolver

// String is the name that the WIT has for the case.
func (c Code) String() string {
	if int(c) < len(codeNames) {
		return codeNames[c]
	}
	return fmt.Sprintf("Code(%d)", uint8(c))
}
