package reach

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Choices say something of a request by where it goes and what its method is: the
// first that matches counts. The zero value says nothing.
type Choices struct{ list []choice }

type choice struct {
	method string // "": any
	rule
	word string
}

var errChoice = errors.New("write [METHOD] HOST=CHOICE, such as POST api.example.com=hold, with * for any host")

// ParseChoices reads lines such as "POST *.example.com:443=hold": a method, if
// only that is meant; a host as in Parse, or * for any; and one of words.
func ParseChoices(lines []string, words ...string) (Choices, error) {
	var c Choices
	if len(lines) > MaxPatterns {
		return c, fmt.Errorf("there are %d rules, more than %d", len(lines), MaxPatterns)
	}
	for _, line := range lines {
		one, err := parseChoice(line)
		if err == nil && !slices.Contains(words, one.word) {
			err = fmt.Errorf("%q is none of %s", one.word, strings.Join(words, ", "))
		}
		if err != nil {
			return c, fmt.Errorf("%q: %w", line, err)
		}
		c.list = append(c.list, one)
	}
	return c, nil
}

func parseChoice(line string) (c choice, err error) {
	if len(line) > MaxPattern {
		return c, errLong
	}
	at := strings.LastIndexByte(line, '=')
	if at < 0 {
		return c, errChoice
	}
	c.word = line[at+1:]
	switch parts := strings.Fields(line[:at]); {
	case len(parts) == 0, len(parts) > 2, parts[len(parts)-1] == Public:
		return c, errChoice
	case len(parts) == 2:
		if c.method = parts[0]; c.method == "*" {
			c.method = ""
		}
		fallthrough
	default:
		if host := parts[len(parts)-1]; host != "*" {
			c.rule, err = parse(host)
		}
	}
	return c, err
}

// Of gives the word for a request, or "". authority is the host as the program
// names it, with a port behind a colon unless that is the scheme's.
func (c Choices) Of(method, scheme, authority string) string {
	host, text := split(authority)
	host = canonical(host)
	port := uint16(443)
	if n, err := strconv.ParseUint(text, 10, 16); err == nil {
		port = uint16(n)
	} else if scheme == "http" {
		port = 80
	}
	ip, _ := netip.ParseAddr(host)
	ip = ip.WithZone("").Unmap()
	for _, one := range c.list {
		switch {
		case one.method != "" && one.method != method, !one.speaksOf(host, port):
		case one.prefix.IsValid() && !one.prefix.Contains(ip):
		default:
			return one.word
		}
	}
	return ""
}
