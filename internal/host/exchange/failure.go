package exchange

import "fmt"

// Failure is why there is no response, or not all of one.
type Failure struct {
	Reason Reason
	Text   string // what is known besides, if anything
	Size   uint64 // of what was too large, or the number of an alert
	// Kept says that the connection had been kept from another request, and was lost
	// before an answer had begun: most likely the server had given it up. It is not
	// recorded.
	Kept bool
}

// Reason is one of the cases of error-code of wasi:http/types, by its number
// there.
type Reason uint8

// The reasons that a host gives.
const (
	DNSTimeout            Reason = 0
	DNSError              Reason = 1
	DestinationNotFound   Reason = 2
	DestinationUnroutable Reason = 5
	ConnectionRefused     Reason = 6
	ConnectionTerminated  Reason = 7
	ConnectionTimeout     Reason = 8
	ReadTimeout           Reason = 9
	WriteTimeout          Reason = 10
	ConnectionLimit       Reason = 11
	TLSProtocol           Reason = 12
	TLSCertificate        Reason = 13
	TLSAlert              Reason = 14
	Denied                Reason = 15
	URIInvalid            Reason = 19
	ResponseIncomplete    Reason = 25
	ResponseHeaderSize    Reason = 26
	ResponseBodySize      Reason = 28
	ResponseTimeout       Reason = 33
	UpgradeFailed         Reason = 34
	ProtocolError         Reason = 35
	InternalError         Reason = 38
)

var reasonNames = map[Reason]string{
	DNSTimeout: "DNS-timeout", DNSError: "DNS-error", DestinationNotFound: "destination-not-found",
	DestinationUnroutable: "destination-IP-unroutable", ConnectionRefused: "connection-refused",
	ConnectionTerminated: "connection-terminated", ConnectionTimeout: "connection-timeout",
	ReadTimeout: "connection-read-timeout", WriteTimeout: "connection-write-timeout", ConnectionLimit: "connection-limit-reached",
	TLSProtocol: "TLS-protocol-error", TLSCertificate: "TLS-certificate-error", TLSAlert: "TLS-alert-received",
	Denied: "HTTP-request-denied", URIInvalid: "HTTP-request-URI-invalid", ResponseIncomplete: "HTTP-response-incomplete",
	ResponseHeaderSize: "HTTP-response-header-section-size", ResponseBodySize: "HTTP-response-body-size",
	ResponseTimeout: "HTTP-response-timeout", UpgradeFailed: "HTTP-upgrade-failed", ProtocolError: "HTTP-protocol-error",
	InternalError: "internal-error",
}

// String is the name that the WIT has for the case.
func (r Reason) String() string {
	if name, ok := reasonNames[r]; ok {
		return name
	}
	return fmt.Sprintf("Reason(%d)", uint8(r))
}

// Error names the reason.
func (f *Failure) Error() string {
	if f.Text == "" {
		return f.Reason.String()
	}
	return f.Reason.String() + ": " + f.Text
}
