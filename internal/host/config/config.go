// Package config is the configuration and the secrets of programs, recorded: what
// there is is read once in an attempt, when the program first asks, and is the same
// for the rest of it, whatever happens. The oplog has values of the configuration as
// they are, and of secrets the names and keyed hashes; the secrets themselves are in
// a Vault, encrypted. It hides where values come from, and which of them are read
// from the record.
package config

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/waterbear-run/waterbear/internal/durable"
)

// Source is where values come from.
type Source interface {
	// Values gives what there is for a component, by name.
	Values(ctx context.Context, component string) (map[string]string, error)
}

// Sources are those of a node. Where several have a value the last of them counts,
// and secrets count before the configuration.
type Sources struct {
	Config, Secrets []Source
	Vault           *Vault // keeps the secrets; nil if there are no sources of them
}

// Limits of what a component has: values, bytes of a name, and bytes in all.
const (
	MaxValues = 1024
	MaxName   = 256
	MaxBytes  = 256 << 10
)

// Values are those of one instance's program. They are for one task at a time.
type Values struct {
	Session   *durable.Session
	Sources   *Sources // nil: there are none
	Component string

	known   bool // what follows has been read in this attempt
	texts   map[string]string
	failure string
}

// UnavailableError is why nothing could be read. The program may go on.
type UnavailableError struct{ Reason string }

// Error gives the reason.
func (e *UnavailableError) Error() string { return e.Reason }

// Begin says that an attempt begins: values are read anew.
func (v *Values) Begin() { v.known, v.texts, v.failure = false, nil, "" }

// Get gives the value of a name, and whether there is one. An error is the host's
// and ends the call, but for an *UnavailableError.
func (v *Values) Get(name string) (string, bool, error) {
	if err := v.read(); err != nil {
		return "", false, err
	}
	text, ok := v.texts[name]
	return text, ok, nil
}

// All gives all names, in order, with their values.
func (v *Values) All() (list [][2]string, err error) {
	if err := v.read(); err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(v.texts)) {
		list = append(list, [2]string{name, v.texts[name]})
	}
	return list, nil
}

// read reads all there is, once in an attempt.
func (v *Values) read() error {
	if !v.known {
		if err := v.look(); err != nil {
			return err
		}
		v.known = true
	}
	if v.failure != "" {
		return &UnavailableError{v.failure}
	}
	return nil
}

func (v *Values) look() error {
	texts := map[string]string{} // of secrets that are read now
	r, err := durable.Run(v.Session, &readAll, durable.None{}, func(ctx context.Context, _ durable.None) (reading, error) {
		return v.gather(ctx, texts)
	})
	if err != nil {
		return err
	}
	v.failure, v.texts = r.failure, map[string]string{}
	for _, value := range r.values {
		text := value.text
		if value.secret {
			var known bool
			if text, known = texts[value.name]; !known {
				if text, err = v.unseal(value); err != nil {
					return fmt.Errorf("read the secret %q of %s as it was: %w", value.name, v.Component, err)
				}
			}
		}
		v.texts[value.name] = text
	}
	return nil
}

var errNoVault = errors.New("this server has no secrets; start it with the key of the one that had (secrets.from, secrets.key)")

func (v *Values) unseal(s value) (string, error) {
	if v.Sources == nil || v.Sources.Vault == nil {
		return "", errNoVault
	}
	return v.Sources.Vault.open(v.Session.Context(), v.Component, s.hash)
}

// gather asks the sources. Secrets are in the vault, durably, before anything is
// recorded of them.
func (v *Values) gather(ctx context.Context, secrets map[string]string) (r reading, err error) {
	if v.Sources == nil {
		return reading{}, nil
	}
	texts := map[string]string{}
	err = collect(ctx, v.Component, v.Sources.Config, texts)
	if err == nil {
		err = collect(ctx, v.Component, v.Sources.Secrets, secrets)
	}
	maps.Copy(texts, secrets)
	if err == nil {
		err = check(v.Component, texts)
	}
	if ctx.Err() != nil {
		return r, context.Cause(ctx)
	}
	if err != nil {
		return reading{failure: err.Error()}, nil
	}
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		one := value{name: name, text: texts[name]}
		if _, one.secret = secrets[name]; one.secret {
			one.text = ""
			if one.hash, err = v.Sources.Vault.seal(ctx, v.Component, texts[name]); err != nil {
				return r, fmt.Errorf("keep the secret %q of %s: %w", name, v.Component, err)
			}
		}
		r.values = append(r.values, one)
	}
	return r, nil
}

func collect(ctx context.Context, component string, sources []Source, into map[string]string) error {
	for _, s := range sources {
		values, err := s.Values(ctx, component)
		if err != nil {
			return err
		}
		maps.Copy(into, values)
	}
	return nil
}

// check refuses more than an oplog takes.
func check(component string, texts map[string]string) error {
	if len(texts) > MaxValues {
		return fmt.Errorf("%s has %d values of configuration, more than %d", component, len(texts), MaxValues)
	}
	size := 0
	for name, text := range texts {
		if name == "" || len(name) > MaxName {
			return fmt.Errorf("a name in the configuration of %s has %d bytes: it can have 1 to %d", component, len(name), MaxName)
		}
		size += len(name) + len(text)
	}
	if size > MaxBytes {
		return fmt.Errorf("the configuration of %s has %d bytes, more than %d", component, size, MaxBytes)
	}
	return nil
}

// reading is what is recorded: why nothing could be read, or all values.
type reading struct {
	failure string
	values  []value
}

// value is one value, or the hash of a secret.
type value struct {
	name   string
	secret bool
	text   string
	hash   Hash
}

// codeRead names the function in the oplog.
const codeRead = 150

var readAll = durable.Func[durable.None, reading]{
	Code: codeRead, Name: "config.read", Effect: durable.ReadLocal,
	Request:  durable.NoneCodec,
	Response: durable.Codec[reading]{Append: appendReading, Decode: decodeReading, Show: showReading},
}

// Funcs lists what this package records.
func Funcs() []durable.Declared { return []durable.Declared{&readAll} }

func appendReading(b []byte, r reading) []byte {
	b = durable.AppendText(b, r.failure)
	b = binary.AppendUvarint(b, uint64(len(r.values)))
	for _, v := range r.values {
		b = durable.AppendText(b, v.name)
		if v.secret {
			b = append(append(b, 1), v.hash[:]...)
		} else {
			b = durable.AppendText(append(b, 0), v.text)
		}
	}
	return b
}

var errDamaged = errors.New("the recorded configuration is damaged")

func decodeReading(b []byte) (r reading, err error) {
	d := &decoder{durable.Decoder{Rest: b}}
	r.failure = d.text()
	for n := d.number(MaxValues); n > 0 && !d.Failed; n-- {
		v := value{name: d.text(), secret: d.number(1) == 1}
		if v.secret {
			copy(v.hash[:], d.Take(len(v.hash)))
		} else {
			v.text = d.text()
		}
		r.values = append(r.values, v)
	}
	if !d.Whole() {
		return reading{}, errDamaged
	}
	return r, nil
}

// decoder takes values off recorded bytes, or fails.
type decoder struct{ durable.Decoder }

// number is one of at most most.
func (d *decoder) number(most uint64) uint64 {
	v := d.Uint()
	if d.Failed = d.Failed || v > most; d.Failed {
		return 0
	}
	return v
}

func (d *decoder) text() string { return string(d.Take(int(d.number(MaxBytes)))) }

func showReading(r reading) string {
	if r.failure != "" {
		return "unavailable: " + r.failure
	}
	var parts []string
	for _, v := range r.values {
		if v.secret {
			parts = append(parts, fmt.Sprintf("%s: secret %.6x", v.name, v.hash))
		} else {
			parts = append(parts, fmt.Sprintf("%s: %q", v.name, v.text))
		}
	}
	return strings.Join(parts, ", ")
}
