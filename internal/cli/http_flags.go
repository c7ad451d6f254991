package cli

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/waterbear-run/waterbear"
	"github.com/waterbear-run/waterbear/api"
)

// httpValues are the flags for the HTTP requests of programs.
type httpValues struct {
	api.HTTP
	maxResponse byteSize
	retries     struct{ initial, max time.Duration }
}

// add adds them.
func (v *httpValues) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringSliceVar(&v.Allow, "http-allow", nil, "what HTTP requests may reach, `HOSTS` such as public,db.local:80")
	f.StringVar(&v.Keys, "http-keys", "", "whether POSTs get an Idempotency-Key, `auto|off`")
	f.StringVar(&v.InDoubt, "http-in-doubt", "", "of one without a key in doubt, `fail|retry|hold`")
	f.StringSliceVar(&v.InDoubtRules, "http-in-doubt-rules", nil, "before that, by method and host, `RULES` such as POST a.com=hold")
	f.Var(&v.maxResponse, "http-max-response", "limit of the body of a response")
	f.StringVar(&v.Proxy, "http-proxy", "", "the proxy that they go through, a `URL`, or off")
	f.Var(rootsFlag{&v.Roots}, "http-tls-roots", "certificates that they trust too, as PEM")
	f.StringVar(&v.Trust, "http-tls-trust", "", "whether the machine's count beside those, `system|roots`")
	f.Uint64Var(&v.Retries.Attempts, "http-retries", 0, "send what fails in a way that passes so often, a `NUMBER`")
	f.DurationVar(&v.retries.initial, "http-retry-initial", 0, "pause before the second time, a `DURATION`")
	f.DurationVar(&v.retries.max, "http-retry-max", 0, "longest pause, also if a response asks for one, a `DURATION`")
}

// apply puts the flags that were given into to, and says whether there are any.
func (v *httpValues) apply(cmd *cobra.Command, to *api.HTTP) (changed bool) {
	for flag, set := range map[string]func(){
		"http-allow":          func() { to.Allow = v.Allow },
		"http-keys":           func() { to.Keys = v.Keys },
		"http-in-doubt":       func() { to.InDoubt = v.InDoubt },
		"http-in-doubt-rules": func() { to.InDoubtRules = v.InDoubtRules },
		"http-max-response":   func() { to.MaxResponse = uint64(v.maxResponse) },
		"http-proxy":          func() { to.Proxy = v.Proxy },
		"http-tls-roots":      func() { to.Roots = v.Roots },
		"http-tls-trust":      func() { to.Trust = v.Trust },
		"http-retries":        func() { to.Retries.Attempts = v.Retries.Attempts },
		"http-retry-initial":  func() { to.Retries.Initial = api.Duration(v.retries.initial) },
		"http-retry-max":      func() { to.Retries.Max = api.Duration(v.retries.max) },
	} {
		if cmd.Flags().Changed(flag) {
			set()
			changed = true
		}
	}
	return changed
}

// rootsFlag is a file of certificates, whose content counts.
type rootsFlag struct{ to *string }

func (r rootsFlag) String() string { return "" }

// Type names the kind of value.
func (rootsFlag) Type() string { return "FILE" }

// Set reads the file.
func (r rootsFlag) Set(file string) (err error) {
	*r.to, err = readRoots(file)
	return err
}

// rootsText says how many certificates of whose are trusted.
func rootsText(h api.HTTP) string {
	n := strings.Count(h.Roots, "BEGIN CERTIFICATE")
	switch {
	case n == 0 && h.Trust != api.TrustRoots:
		return ""
	case h.Trust == api.TrustRoots:
		return count(uint64(n), "certificate", "certificates") + " alone"
	}
	return count(uint64(n), "certificate", "certificates") + " beside the machine's"
}

// readRoots reads a file of certificates.
func readRoots(file string) (string, error) {
	p, err := os.ReadFile(file)
	if err == nil {
		err = waterbear.CheckRoots(string(p))
	}
	if err != nil {
		return "", fmt.Errorf("read the certificates in %s: %w", file, err)
	}
	return string(p), nil
}

// proxy is a value that names one.
func proxy(to *string) value { return written{to, waterbear.CheckProxy} }
