package inbound

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// Field is a name and one of its values.
type Field struct {
	Name  string
	Value []byte
}

// encoded is bytes that are no text.
type encoded struct {
	Base64 []byte `json:"base64"`
}

// MarshalJSON gives an array of the name and the value, which is text if it can
// be.
func (f Field) MarshalJSON() ([]byte, error) {
	if utf8.Valid(f.Value) {
		return text([]string{f.Name, string(f.Value)})
	}
	return text([]any{f.Name, encoded{f.Value}})
}

var errField = errors.New("a field is an array of its name and its value")

// UnmarshalJSON reads what MarshalJSON gives.
func (f *Field) UnmarshalJSON(b []byte) error {
	var parts []json.RawMessage
	if err := json.Unmarshal(b, &parts); err != nil || len(parts) != 2 {
		return errField
	}
	var value string
	if json.Unmarshal(parts[0], &f.Name) != nil {
		return errField
	}
	if json.Unmarshal(parts[1], &value) == nil {
		f.Value = []byte(value)
		return nil
	}
	var e encoded
	if json.Unmarshal(parts[1], &e) != nil {
		return errField
	}
	f.Value = e.Base64
	return nil
}

// Body is the body of a request: all of it, or what is to be known of one whose
// bytes are elsewhere.
type Body struct {
	Size   uint64
	Sum    [sha256.Size]byte
	Bytes  []byte
	Stored bool // the bytes are elsewhere
}

// bodyJSON is a Body in JSON. One without bytes here and with a size is stored.
type bodyJSON struct {
	Size   uint64 `json:"size"`
	SHA256 string `json:"sha256,omitempty"`
	Text   string `json:"text,omitempty"`
	Base64 []byte `json:"base64,omitempty"`
}

// MarshalJSON gives size, SHA-256 and content, as text if it can be without
// being much longer.
func (b Body) MarshalJSON() ([]byte, error) {
	j := bodyJSON{Size: b.Size, SHA256: hex.EncodeToString(b.Sum[:])}
	switch {
	case b.Size == 0:
		j.SHA256 = ""
	case b.Stored:
	case utf8.Valid(b.Bytes) && !bytes.ContainsFunc(b.Bytes, tedious):
		j.Text = string(b.Bytes)
	default:
		j.Base64 = b.Bytes
	}
	return text(j)
}

// tedious are characters that JSON has long forms of.
func tedious(r rune) bool {
	return r < ' ' && r != '\n' && r != '\r' && r != '\t' || r == utf8.RuneError || r == '\u2028' || r == '\u2029'
}

// UnmarshalJSON reads what MarshalJSON gives.
func (b *Body) UnmarshalJSON(p []byte) error {
	var j bodyJSON
	if err := json.Unmarshal(p, &j); err != nil {
		return err
	}
	*b = Body{Size: j.Size, Bytes: j.Base64}
	if j.Text != "" {
		b.Bytes = []byte(j.Text)
	}
	b.Stored = len(b.Bytes) == 0 && b.Size > 0
	sum, err := hex.DecodeString(j.SHA256)
	switch {
	case b.Size == 0 && len(b.Bytes) == 0:
		b.Sum = sha256.Sum256(nil)
		return nil
	case err != nil || len(sum) != sha256.Size || !b.Stored && uint64(len(b.Bytes)) != b.Size:
		return errors.New("a body has its size and its sha256")
	}
	b.Sum = [sha256.Size]byte(sum)
	return nil
}

// Inline is a body that is among the arguments.
func Inline(p []byte) Body {
	return Body{Size: uint64(len(p)), Sum: sha256.Sum256(p), Bytes: p}
}

// Args gives the request as the arguments of an invocation, a JSON array.
func (r *Request) Args() ([]byte, error) { return text([]*Request{r}) }

// Parse reads what Args gives.
func Parse(args []byte) (*Request, error) {
	var list []*Request
	if err := json.Unmarshal(args, &list); err != nil {
		return nil, fmt.Errorf("read the request: %w", err)
	}
	if len(list) != 1 || list[0] == nil {
		return nil, errors.New("read the request: there is not one")
	}
	return list[0], nil
}

// Result is how a request was answered, as the result of its invocation.
type Result struct {
	Status  uint16 `json:"status,omitempty"` // 0: there was no response
	Size    uint64 `json:"size,omitempty"`   // of the body
	Failure string `json:"failure,omitempty"`
}

func (r Result) append() ([]byte, error) { return text([]Result{r}) }

// ParseResult reads the result of an invocation.
func ParseResult(result []byte) (Result, error) {
	var list []Result
	if err := json.Unmarshal(result, &list); err != nil || len(list) != 1 {
		return Result{}, errors.New("the result is none of a request")
	}
	return list[0], nil
}

// text gives v in JSON, and leaves characters alone that are special only in HTML.
func text(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}
