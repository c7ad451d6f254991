package api

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Retention says how much of a worker's past is kept. More than that may be.
type Retention struct {
	Oplog   Keep `json:"oplog,omitzero" doc:"Of the oplog: everything, a time such as 30d, or a number of invocations such as 1000"`
	Results Keep `json:"results,omitzero" doc:"Of how invocations ended, by key, beyond the oplog: likewise"`
	Logs    Keep `json:"logs,omitzero" doc:"Of the output, beyond the oplog: likewise"`
}

// Keep says how much of something is kept: all of it, what is not older than a
// time, or what is of the newest invocations. The zero Keep is the default.
type Keep struct {
	everything  bool
	age         time.Duration
	invocations uint64
}

// KeepEverything keeps everything, for ever.
func KeepEverything() Keep { return Keep{everything: true} }

// KeepFor keeps what is not older than age.
func KeepFor(age time.Duration) Keep { return Keep{age: age} }

// KeepInvocations keeps what is of the newest n invocations.
func KeepInvocations(n uint64) Keep { return Keep{invocations: n} }

// Age is how long is kept; 0 if it is not a time that decides.
func (k Keep) Age() time.Duration { return k.age }

// Invocations is of how many invocations is kept; 0 if it is not a number that
// decides.
func (k Keep) Invocations() uint64 { return k.invocations }

// Limited reports whether there is anything that is not kept.
func (k Keep) Limited() bool { return k.age > 0 || k.invocations > 0 }

const (
	everything = "everything"
	day        = 24 * time.Hour
)

// String is "everything", a time such as "30d" or "12h0m0s", a number of
// invocations, or nothing for the default.
func (k Keep) String() string {
	switch {
	case k.everything:
		return everything
	case k.age >= day && k.age%day == 0:
		return strconv.FormatInt(int64(k.age/day), 10) + "d"
	case k.age > 0:
		return k.age.String()
	case k.invocations > 0:
		return strconv.FormatUint(k.invocations, 10)
	}
	return ""
}

// MarshalText gives what String does.
func (k Keep) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads what String gives, and any time that time.ParseDuration
// reads.
func (k *Keep) UnmarshalText(text []byte) error {
	parsed, err := ParseKeep(string(text))
	*k = parsed
	return err
}

// ParseKeep reads what Keep.String gives.
func ParseKeep(s string) (Keep, error) {
	if s == "" {
		return Keep{}, nil
	}
	if s == everything {
		return KeepEverything(), nil
	}
	if n, err := strconv.ParseUint(s, 10, 64); err == nil && n > 0 {
		return KeepInvocations(n), nil
	}
	if n, ok := strings.CutSuffix(s, "d"); ok {
		if days, err := strconv.ParseUint(n, 10, 32); err == nil && days > 0 && days <= uint64(longest/day) {
			return KeepFor(time.Duration(days) * day), nil
		}
	}
	if age, err := time.ParseDuration(s); err == nil && age > 0 {
		return KeepFor(age), nil
	}
	return Keep{}, fmt.Errorf("%q is none of everything, a time such as 30d or 12h, or a number of invocations such as 1000", s)
}

// longest is the longest time there is.
const longest = time.Duration(1<<63 - 1)
