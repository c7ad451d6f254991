package reach

import (
	"strings"
	"testing"
)

func TestTheFirstChoiceThatMatchesCounts(t *testing.T) {
	c, err := ParseChoices([]string{
		"POST api.example.com:8443=hold", "POST api.example.com=fail", "* *.Example.com=retry", "DELETE *=hold", "10.0.0.0/8=fail", "[::1]:80=hold",
	}, "retry", "fail", "hold")
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct{ method, url, want string }{
		{"POST", "https api.example.com:8443", "hold"},
		{"POST", "https API.example.com.", "fail"},
		{"PUT", "https api.example.com", "retry"},
		{"post", "https api.example.com", "retry"},
		{"DELETE", "https api.example.com", "retry"},
		{"DELETE", "https example.com", "hold"},
		{"GET", "https example.com", ""},
		{"GET", "http 10.1.2.3", "fail"},
		{"GET", "http 11.1.2.3", ""},
		{"GET", "http ten.local", ""},
		{"GET", "http [::1]", "hold"},
		{"GET", "https [::1]:80", "hold"},
		{"GET", "https [::1]", ""},
	} {
		scheme, authority, _ := strings.Cut(x.url, " ")
		if got := c.Of(x.method, scheme, authority); got != x.want {
			t.Errorf("%s %s: got %q, want %q", x.method, x.url, got, x.want)
		}
	}
}

func TestChoicesThatMakeNoSenseAreRefused(t *testing.T) {
	for line, want := range map[string]string{
		"":                                 "write [METHOD] HOST=CHOICE",
		"api.example.com":                  "write [METHOD] HOST=CHOICE",
		"=hold":                            "write [METHOD] HOST=CHOICE",
		"public=hold":                      "write [METHOD] HOST=CHOICE",
		"POST a b=hold":                    "write [METHOD] HOST=CHOICE",
		"POST a=wait":                      `"wait" is none of retry, hold`,
		"POST 127.1=hold":                  "it is no host",
		strings.Repeat("x", 300) + "=hold": "more than",
	} {
		if _, err := ParseChoices([]string{line}, "retry", "hold"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: got %v, want %q", line, err, want)
		}
	}
	if _, err := ParseChoices(make([]string, MaxPatterns+1), "retry"); err == nil {
		t.Error("there is no end to the rules")
	}
}
