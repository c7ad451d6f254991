package cli

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dustin/go-humanize"

	"github.com/waterbear-run/waterbear"
	"github.com/waterbear-run/waterbear/api"
)

// value is what a setting holds.
type value interface {
	// set takes a value as a person writes it.
	set(written string) error
	// text gives the value so that set takes it again.
	text() string
}

// written is a value that is kept as it is written.
type written struct {
	to    *string
	check func(string) error
}

func (v written) set(s string) error {
	if strings.IndexFunc(s, unprintable) >= 0 || !utf8.ValidString(s) {
		return errors.New("has a character that cannot be printed")
	}
	if err := v.check(s); err != nil {
		return err
	}
	*v.to = s
	return nil
}

func (v written) text() string { return *v.to }

// text is a value that may not be empty.
func text(to *string, what string) value {
	return written{to, func(s string) error {
		if s == "" {
			return fmt.Errorf("want %s", what)
		}
		return nil
	}}
}

// optional is a value that may be empty.
func optional(to *string) value {
	return written{to, func(string) error { return nil }}
}

// optionalAddress is an address or nothing.
func optionalAddress(to *string) value {
	check := address(to).(written).check
	return written{to, func(s string) error {
		if s == "" {
			return nil
		}
		return check(s)
	}}
}

// urlPath is a path of a URL or nothing.
func urlPath(to *string) value {
	return written{to, func(s string) error {
		if s != "" && (s[0] != '/' || strings.ContainsAny(s, "{}%?#")) {
			return errors.New("want a path such as /openapi.json")
		}
		return nil
	}}
}

// baseURL is a value that URLs begin with, or empty.
func baseURL(to *string) value {
	return written{to, func(s string) error {
		u, err := url.Parse(s)
		if s != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || strings.HasSuffix(s, "/")) {
			return errors.New("want a URL without a slash at its end, such as https://waterbear.example.com")
		}
		return nil
	}}
}

// choice is a value that is one of a few words.
type choice struct {
	written
	words []string
}

func oneOf(to *string, words ...string) value {
	return choice{written{to, func(s string) error {
		if !slices.Contains(words, s) {
			return fmt.Errorf("want one of %s", strings.Join(words, ", "))
		}
		return nil
	}}, words}
}

// auth is a value that is on, off, or left to the address.
func auth(to *string) value {
	v := oneOf(to, authOn, authOff).(choice)
	check := v.check
	v.check = func(s string) error {
		if s == "" {
			return nil
		}
		return check(s)
	}
	return v
}

// address is a value that says where to listen. Names other than localhost are
// refused: whether they mean this machine alone could change at any time.
func address(to *string) value {
	return written{to, func(s string) error {
		host, port, err := net.SplitHostPort(s)
		if err != nil {
			return errors.New("want HOST:PORT, such as 127.0.0.1:4004 or [::1]:4004")
		}
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return fmt.Errorf("the port %q is no number from 0 to 65535", port)
		}
		if _, err := netip.ParseAddr(host); err != nil && host != "" && host != "localhost" {
			return fmt.Errorf("the host %q is no IP address; for every address of this machine write :%s", host, port)
		}
		return nil
	}}
}

// list is a value of names with commas between them.
type list struct{ to *[]string }

// names are host names.
func names(to *[]string) value { return list{to} }

// maxHostName is the longest name that the domain name system allows.
const maxHostName = 253

func (v list) set(s string) error {
	var all []string
	for name := range strings.SplitSeq(s, ",") {
		name = strings.TrimSpace(name)
		if name == "" && s == "" {
			break
		}
		odd := func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("/:@", r) }
		if name == "" || len(name) > maxHostName || strings.ContainsFunc(name, odd) {
			return fmt.Errorf("%q is no host name; write names with commas between them", name)
		}
		all = append(all, name)
	}
	*v.to = all
	return nil
}

// reachable is a value of patterns of the hosts that programs may reach.
func reachable(to *[]string) value { return patterns{list{to}, waterbear.CheckReachable, false} }

// connectable is one of those that their sockets may, which can be empty.
func connectable(to *[]string) value { return patterns{list{to}, waterbear.CheckReachable, true} }

// listenable is a value of patterns of where they may listen, which can be empty.
func listenable(to *[]string) value { return patterns{list{to}, waterbear.CheckListenable, true} }

type patterns struct {
	list
	check   func([]string) error
	maybeNo bool // it can be empty
}

func (v patterns) set(s string) error {
	all := []string{}
	if s == "" && v.maybeNo {
		*v.to = nil
		return nil
	}
	for p := range strings.SplitSeq(s, ",") {
		all = append(all, strings.TrimSpace(p))
	}
	if err := v.check(all); err != nil {
		return err
	}
	*v.to = all
	return nil
}

// doubtRules is a value of rules for requests in doubt.
func doubtRules(to *[]string) value { return rules{list{to}} }

type rules struct{ list }

func (v rules) set(s string) error {
	var all []string
	for rule := range strings.SplitSeq(s, ",") {
		if rule = strings.TrimSpace(rule); rule != "" {
			all = append(all, rule)
		}
	}
	if err := waterbear.CheckInDoubtRules(all); err != nil {
		return err
	}
	*v.to = all
	return nil
}

// sourced is a value of where programs' values come from.
func sourced(to *[]string) value { return origins{list{to}} }

type origins struct{ list }

func (v origins) set(s string) error {
	var all []string
	for o := range strings.SplitSeq(s, ",") {
		if o = strings.TrimSpace(o); o == "" && s == "" {
			break
		}
		if err := waterbear.CheckConfigSource(o); err != nil {
			return err
		}
		all = append(all, o)
	}
	*v.to = all
	return nil
}

func (v list) text() string { return strings.Join(*v.to, ",") }

// loopback reports whether only this machine can reach an address that was
// checked.
func loopback(listen string) bool {
	host, _, _ := net.SplitHostPort(listen)
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

// bounded is a number within bounds, written in some way.
type bounded[T uint64 | float64 | time.Duration] struct {
	get         func() T
	put         func(T)
	least, most T
	parse       func(string) (T, error)
	format      func(T) string
}

func (v bounded[T]) set(s string) error {
	n, err := v.parse(s)
	if err != nil {
		return err
	}
	if n < v.least || n > v.most {
		return fmt.Errorf("want something from %s to %s", v.format(v.least), v.format(v.most))
	}
	v.put(n)
	return nil
}

func (v bounded[T]) text() string { return v.format(v.get()) }

// size is an amount of bytes.
func size[T int64 | uint64](to *T, least, most uint64) value {
	return bounded[uint64]{
		get: func() uint64 { return uint64(*to) }, put: func(n uint64) { *to = T(n) }, least: least, most: most, format: sizeText,
		parse: func(s string) (uint64, error) {
			n, err := humanize.ParseBytes(s)
			if err != nil {
				err = errors.New("want a size such as 64MiB or 1GiB")
			}
			return n, err
		},
	}
}

// sizeText gives a size in the largest unit that divides it.
func sizeText(n uint64) string {
	units := []string{"", "KiB", "MiB", "GiB", "TiB", "PiB"}
	unit := 0
	for n != 0 && n%1024 == 0 && unit < len(units)-1 {
		n /= 1024
		unit++
	}
	return strconv.FormatUint(n, 10) + units[unit]
}

// number is a whole number.
func number[T int | uint64](to *T, least, most uint64) value {
	return bounded[uint64]{
		get: func() uint64 { return uint64(*to) }, put: func(n uint64) { *to = T(n) }, least: least, most: most, format: numberText,
		parse: func(s string) (uint64, error) {
			n, err := strconv.ParseUint(s, 10, 64)
			if err != nil {
				err = errors.New("want a whole number")
			}
			return n, err
		},
	}
}

func numberText(n uint64) string { return strconv.FormatUint(n, 10) }

// longest is the longest duration that can be configured. Sums of a few are
// far from overflowing.
const longest = 100 * 365 * 24 * time.Hour

// span is a duration.
func span[T ~int64](to *T, least time.Duration) value {
	return bounded[time.Duration]{
		get: func() time.Duration { return time.Duration(*to) }, put: func(d time.Duration) { *to = T(d) }, least: least, most: longest, format: spanText,
		parse: func(s string) (time.Duration, error) {
			d, err := time.ParseDuration(s)
			if err != nil {
				err = errors.New("want a duration such as 10s or 1m30s")
			}
			return d, err
		},
	}
}

// off is the duration that means never, and how it is written.
const (
	off     time.Duration = -time.Second
	offText               = "off"
)

// spanOrOff is a duration, or off.
func spanOrOff(to *time.Duration, least time.Duration) value {
	return bounded[time.Duration]{
		get: func() time.Duration { return *to }, put: func(d time.Duration) { *to = d }, least: off, most: longest, format: spanOrOffText,
		parse: func(s string) (time.Duration, error) {
			d, err := parseSpanOrOff(s)
			if err == nil && d != off && d < least {
				err = fmt.Errorf("want off, or at least %s", spanText(least))
			}
			return d, err
		},
	}
}

// parseSpanOrOff reads a duration; every negative one is off.
func parseSpanOrOff(s string) (time.Duration, error) {
	if s == offText {
		return off, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, errors.New("want off, or a duration such as 10ms or 1s")
	}
	return max(d, off), nil
}

func spanOrOffText(d time.Duration) string {
	if d < 0 {
		return offText
	}
	return spanText(d)
}

// spanText gives a duration without units of which there are none.
func spanText(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// kept is how much to keep of something.
type kept struct{ to *api.Keep }

func keep(to *api.Keep) value { return kept{to} }

func (v kept) set(s string) error {
	k, err := parseKeep(s)
	if err == nil && k.Age() > 0 && (k.Age() < time.Minute || k.Age() > longest) {
		err = fmt.Errorf("want at least %s", spanText(time.Minute))
	}
	if err == nil {
		*v.to = k
	}
	return err
}

func (v kept) text() string { return v.to.String() }

// fraction is a number with a decimal point.
func fraction(to *float64, least, most float64) value {
	return bounded[float64]{
		get: func() float64 { return *to }, put: func(f float64) { *to = f }, least: least, most: most, format: fractionText,
		parse: func(s string) (float64, error) {
			f, err := strconv.ParseFloat(s, 64)
			if err != nil || math.IsNaN(f) {
				return 0, errors.New("want a number such as 2 or 0.5")
			}
			return f, nil
		},
	}
}

func fractionText(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
