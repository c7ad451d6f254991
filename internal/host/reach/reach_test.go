package reach

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

func rules(t *testing.T, patterns ...string) Rules {
	t.Helper()
	r, err := Parse(patterns)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestPatternsPermitWhatTheySay(t *testing.T) {
	for _, c := range []struct {
		pattern, host, ip string
		port              uint16
		want              bool
	}{
		{"public", "example.com", "93.184.216.34", 443, true},
		{"public", "example.com", "127.0.0.1", 443, false}, // a name that was changed
		{"public", "2606:2800:220:1::1", "2606:2800:220:1::1", 443, true},
		{"localhost", "localhost", "127.0.0.1", 80, true},
		{"localhost", "LOCALHOST.", "::1", 80, true},
		{"localhost", "127.0.0.1", "127.0.0.1", 80, false},
		{"localhost:8080", "localhost", "127.0.0.1", 8080, true},
		{"localhost:8080", "localhost", "127.0.0.1", 8081, false},
		{"api.internal", "api.internal", "10.1.2.3", 443, true},
		{"api.internal", "evil.api.internal", "10.1.2.3", 443, false},
		{"*.example.com", "a.example.com", "93.184.216.34", 443, true},
		{"*.example.com:443", "a.example.com", "93.184.216.34", 80, false},
		{"*.example.com", "example.com", "93.184.216.34", 443, false},
		{"*.example.com", "aexample.com", "93.184.216.34", 443, false},
		{"*.example.com", "a.example.com", "169.254.169.254", 443, false},
		{"10.0.0.0/8", "anything", "10.9.9.9", 1, true},
		{"10.0.0.0/8", "anything", "11.9.9.9", 1, false},
		{"10.0.0.0/8:5432", "anything", "10.9.9.9", 1, false},
		{"127.0.0.1", "localhost", "127.0.0.1", 1, true},
		{"127.0.0.1:80", "127.0.0.1", "127.0.0.1", 81, false},
		{"127.0.0.1", "x", "::ffff:127.0.0.1", 1, true},
		{"[::1]:80", "::1", "::1", 80, true},
		{"::1", "::1", "::1", 90, true},
		{"fd00::/8", "x", "fd12::1", 90, true},
	} {
		r := rules(t, c.pattern)
		if got := r.Permit(c.host, netip.MustParseAddr(c.ip), c.port); got != c.want {
			t.Errorf("%s of %s at %s port %d: got %t", c.pattern, c.host, c.ip, c.port, got)
		}
		if c.want && !r.Consider(c.host, c.port) {
			t.Errorf("%s: %s is permitted and not considered", c.pattern, c.host)
		}
	}
	if (Rules{}).Permit("example.com", netip.MustParseAddr("93.184.216.34"), 443) {
		t.Error("no rules permit something")
	}
	if rules(t, "a.example").Consider("b.example", 80) {
		t.Error("a name that is not listed is looked up")
	}
}

func TestAddressesOfTheMachineAndItsNetworkAreNotPublic(t *testing.T) {
	r := rules(t, Public)
	for _, ip := range []string{
		"127.0.0.1", "127.255.255.254", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.100.100.200",
		"224.0.0.1", "255.255.255.255", "192.0.0.192", "198.18.0.1", "240.0.0.1",
		"::", "::1", "fe80::1", "fe80::1%eth0", "fd00:ec2::254", "fc00::1", "ff02::1", "::ffff:10.0.0.1", "::ffff:169.254.169.254",
		"::127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2001:db8::1", "2001::1", "fec0::1",
	} {
		if r.Permit("host.example", netip.MustParseAddr(ip), 80) {
			t.Errorf("%s is taken for public", ip)
		}
	}
}

func TestWhatIsNoPatternIsRefused(t *testing.T) {
	for _, p := range []string{
		"", "*", "*.", "a..b", "a b", "http://a", "a/b", "10.0.0.0/99", "a:0", "a:65536", "a:x", "127.1", "2130706433", "0x7f000001", "*.*.com",
		"[::1]x", "[::1]:", "a:", strings.Repeat("a.", 200) + "a", strings.Repeat("a", 64) + ".com", "ä.com",
	} {
		if _, err := Parse([]string{p}); err == nil {
			t.Errorf("%q is taken for a pattern", p)
		}
	}
	if _, err := Parse(make([]string, MaxPatterns+1)); err == nil {
		t.Error("any number of patterns is taken")
	}
}

func TestPatternsOfAMachinesOwnAddresses(t *testing.T) {
	r, err := ParseLocal([]string{"127.0.0.1:80", "[::1]", "10.0.0.0/8"})
	if err != nil || !r.Permit("", netip.MustParseAddr("10.2.3.4"), 9) || r.Permit("", netip.MustParseAddr("127.0.0.1"), 81) {
		t.Errorf("got %v, %v", r, err)
	}
	for _, p := range []string{"localhost", "*.local", Public, "", "10.0.0.0/99"} {
		if r, err := ParseLocal([]string{"127.0.0.1", p}); err == nil || !r.None() {
			t.Errorf("%q: got %v, %v", p, r, err)
		}
	}
}

func TestAProxyIsAURL(t *testing.T) {
	for text, want := range map[string]string{
		"http://proxy.example:3128": "false", "http://10.0.0.1/": "false", "http://me:word@proxy.example": "true",
		"proxy.example:3128": "no", "https://proxy.example": "no", "http://": "no", "http://a/b": "no", "http://a?b": "no", "http://a#b": "no",
		"socks5://a": "no", "http://" + strings.Repeat("a", MaxProxy): "no", "\n": "no",
	} {
		password, err := CheckProxy(text)
		got := fmt.Sprint(password)
		if err != nil {
			got = "no"
		}
		if got != want {
			t.Errorf("%q: got %s (%v), want %s", text, got, err, want)
		}
	}
}

func TestNamesThatNoRuleSpeaksOf(t *testing.T) {
	r, err := Parse([]string{"db.local:5432", "*.example.com:1"})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"db.local": true, "DB.local.": true, "a.example.com": true, "example.com": false, "other": false} {
		if got := r.Mentions(name); got != want {
			t.Errorf("%s: got %t", name, got)
		}
	}
	if (Rules{}).Mentions("any") || !(Rules{}).None() {
		t.Error("no rules speak of a name")
	}
}

func TestNamesOfAMachineOrANetworkAreLocal(t *testing.T) {
	for _, host := range []string{"localhost", "a", "a.localhost", "A.LOCAL.", "metadata.google.internal", "router.home.arpa", "127.1", "0x7f.1", "2130706433", "0177.0.0.1"} {
		if !Local(host) {
			t.Errorf("%q is not", host)
		}
	}
	for _, host := range []string{"a.example", "internal.example", "127.0.0.1", "::1"} {
		if Local(host) {
			t.Errorf("%q is", host)
		}
	}
}
