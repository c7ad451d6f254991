package exchange

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// MaxGiven bounds the body of a response that a person gives, in bytes: it is in
// one entry, and in images as long as the program has not read it.
const MaxGiven = 256 << 10

// maxGivenFields bounds the fields of such a response, in bytes.
const maxGivenFields = 64 << 10

// parseGiven reads a response that a person gives in place of one that did not
// come: {"status": 200, "headers": {"name": "value" or ["value", …]}, "body": "…"
// or "base64": "…"}.
func parseGiven(b []byte) (h Head, err error) {
	var v struct {
		Status  int               `json:"status"`
		Headers map[string]values `json:"headers"`
		Body    *string           `json:"body"`
		Base64  []byte            `json:"base64"`
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		return h, fmt.Errorf(`the response is not as {"status": 200, "headers": {"content-type": "text/plain"}, "body": "…"}: %w`, err)
	}
	h = Head{Status: 200, Given: true, Body: v.Base64}
	if v.Status != 0 {
		h.Status = uint16(v.Status)
	}
	if v.Body != nil {
		h.Body = []byte(*v.Body)
	}
	size := 0
	for _, name := range slices.Sorted(maps.Keys(v.Headers)) {
		for _, one := range v.Headers[name] {
			if err := checkField(name, one); err != nil {
				return h, err
			}
			size += len(name) + len(one)
			h.Headers = append(h.Headers, Field{name, []byte(one)})
		}
	}
	switch {
	case v.Status != 0 && (v.Status < 200 || v.Status > 599):
		err = fmt.Errorf("the status %d is none of a response: 200 to 599", v.Status)
	case v.Body != nil && v.Base64 != nil:
		err = errors.New("the response has a body and a base64: give one of them")
	case len(h.Body) > MaxGiven:
		err = fmt.Errorf("the body has %d bytes, more than %d", len(h.Body), MaxGiven)
	case size > maxGivenFields:
		err = fmt.Errorf("the headers have %d bytes, more than %d", size, maxGivenFields)
	}
	return h, err
}

// values are those of one header: in JSON a text, or an array of them.
type values []string

// UnmarshalJSON reads either.
func (v *values) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*v = values{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(v))
}

// ofConnections are the fields that say how a body travels: one that is given does
// not.
var ofConnections = []string{"connection", "content-length", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}

// checkField says what is wrong with a field of a response (RFC 9110, section 5).
func checkField(name, value string) error {
	token := func(c rune) bool {
		return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || strings.ContainsRune("!#$%&'*+-.^_`|~", c)
	}
	if name == "" || strings.ContainsFunc(name, func(c rune) bool { return !token(c) }) {
		return fmt.Errorf("the header %.100q is no name", name)
	}
	if strings.ContainsFunc(value, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }) {
		return fmt.Errorf("the header %.100s has a value with a control character", name)
	}
	if slices.Contains(ofConnections, strings.ToLower(name)) {
		return fmt.Errorf("the header %s is the connection's: leave it out", name)
	}
	return nil
}
