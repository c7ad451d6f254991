package catalog

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/host/reach"
)

// The bounds of settings. Each field may also be 0, for its default.
const (
	minMemory   = 64 << 10 // a page
	maxMemory   = 4 << 30  // what 32 bits can address
	maxStorage  = 1 << 44
	maxFiles    = 1 << 20
	maxCPUTime  = 7 * 24 * time.Hour
	maxRate     = 1 << 40
	maxQueue    = 1_000_000
	maxAttempts = 1_000_000
	maxPause    = 365 * 24 * time.Hour
	maxFactor   = 1000
	maxReplay   = 24 * time.Hour
	maxDeltas   = 1 << 30
	maxResponse = 1 << 40
	minAge      = time.Minute
	maxAge      = 100 * 365 * 24 * time.Hour
	maxKept     = 1 << 40
)

// CheckSettings says which settings nobody could keep to, all of them, or nil.
// at is where in the request they stand.
func CheckSettings(at string, s api.Settings) error {
	check := settingsCheck{at: at}
	l, r := s.Limits, s.Retry
	check.count("limits.memory", l.Memory, minMemory, maxMemory)
	check.count("limits.storage", l.Storage, 1, maxStorage)
	check.count("limits.shared", l.Shared, 1, maxStorage)
	check.count("limits.files", l.Files, 1, maxFiles)
	check.duration("limits.cpuTime", l.CPUTime, time.Millisecond, maxCPUTime)
	check.count("limits.logRate", l.LogRate, 1, maxRate)
	check.count("limits.oplogRate", l.OplogRate, 1, maxRate)
	check.count("limits.queue", l.Queue, 1, maxQueue)
	check.count("retry.attempts", r.Attempts, 1, maxAttempts)
	check.duration("retry.initial", r.Initial, time.Millisecond, maxPause)
	check.duration("retry.max", r.Max, time.Millisecond, maxPause)
	if r.Initial > 0 && r.Max > 0 && r.Max < r.Initial {
		check.refuse("retry.max", "it is shorter than retry.initial")
	}
	check.number("retry.factor", r.Factor, 1, maxFactor)
	check.number("retry.jitter", r.Jitter, 0, 1)
	if s.Images.After > 0 { // else it is the default, or never
		check.duration("images.after", s.Images.After, time.Millisecond, maxReplay)
	}
	check.count("images.size", s.Images.Size, 1, maxDeltas)
	check.duration("images.age", s.Images.Age, time.Second, maxPause)
	if _, err := reach.Parse(s.HTTP.Allow); err != nil {
		check.refuse("http.allow", err.Error())
	}
	if _, err := reach.Parse(s.Net.Allow); err != nil {
		check.refuse("net.allow", err.Error())
	}
	if _, err := reach.ParseLocal(s.Net.Listen); err != nil {
		check.refuse("net.listen", err.Error())
	}
	check.word("http.keys", s.HTTP.Keys, api.KeysAuto, api.KeysOff)
	check.word("http.inDoubt", s.HTTP.InDoubt, api.InDoubts()...)
	if _, err := reach.ParseChoices(s.HTTP.InDoubtRules, api.InDoubts()...); err != nil {
		check.refuse("http.inDoubtRules", err.Error())
	}
	check.count("http.maxResponse", s.HTTP.MaxResponse, 1, maxResponse)
	check.egress(s.HTTP)
	check.count("http.maxRequest", s.HTTP.MaxRequest, 1, maxResponse)
	check.links(s.Links)
	check.keep("retention.oplog", s.Retention.Oplog)
	check.keep("retention.results", s.Retention.Results)
	check.keep("retention.logs", s.Retention.Logs)
	if len(check.errors) == 0 {
		return nil
	}
	p := api.NewProblem(api.CodeInvalid, fmt.Sprintf("the settings cannot be used: %s: %s", check.errors[0].Location, check.errors[0].Message))
	if more := len(check.errors) - 1; more > 0 {
		p.Detail += fmt.Sprintf(", and %d more", more)
	}
	p.Errors = check.errors
	return p
}

// settingsCheck collects what is wrong.
type settingsCheck struct {
	at     string
	errors []api.FieldError
}

// Bounds of texts.
const (
	maxRoots     = 256 << 10
	maxHTTPPause = 24 * time.Hour
)

// egress checks how HTTP requests leave, and how often.
func (c *settingsCheck) egress(h api.HTTP) {
	if password, err := checkProxy(h.Proxy); err != nil {
		c.refuse("http.proxy", err.Error())
	} else if password || h.Proxy == api.ProxyEnvironment {
		c.refuse("http.proxy", "the server's environment, and proxies that want a password, are for the server's configuration alone")
	}
	if err := CheckRoots(h.Roots); err != nil {
		c.refuse("http.roots", err.Error())
	}
	c.word("http.trust", h.Trust, api.TrustSystem, api.TrustRoots)
	c.count("http.retries.attempts", h.Retries.Attempts, 1, maxHTTPAttempts)
	c.duration("http.retries.initial", h.Retries.Initial, time.Millisecond, maxHTTPPause)
	c.duration("http.retries.max", h.Retries.Max, time.Millisecond, maxHTTPPause)
}

// maxHTTPAttempts bounds how often one request is sent.
const maxHTTPAttempts = 100

// CheckProxy says why a text is no proxy, or nil. None is none.
func CheckProxy(text string) error {
	_, err := checkProxy(text)
	return err
}

func checkProxy(text string) (password bool, err error) {
	if text == "" || text == api.ProxyOff || text == api.ProxyEnvironment {
		return false, nil
	}
	return reach.CheckProxy(text)
}

// CheckRoots says why a text is no certificates, or nil. None are none.
func CheckRoots(text string) error {
	if len(text) > maxRoots {
		return fmt.Errorf("it has more than %d bytes", maxRoots)
	}
	rest, n := []byte(text), 0
	for ; len(bytes.TrimSpace(rest)) > 0; n++ {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil || block.Type != "CERTIFICATE" {
			return fmt.Errorf("behind %d certificates is none: write them as PEM, and nothing else", n)
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return fmt.Errorf("certificate %d cannot be read: %w", n+1, err)
		}
	}
	return nil
}

func (c *settingsCheck) refuse(field, message string) {
	c.errors = append(c.errors, api.FieldError{Location: c.at + "." + field, Message: message})
}

func (c *settingsCheck) count(field string, v, least, most uint64) {
	if v != 0 && (v < least || v > most) {
		c.refuse(field, fmt.Sprintf("%d is not from %d to %d, nor 0 for the default", v, least, most))
	}
}

func (c *settingsCheck) duration(field string, v api.Duration, least, most time.Duration) {
	if d := time.Duration(v); d != 0 && (d < least || d > most) {
		c.refuse(field, fmt.Sprintf("%v is not from %v to %v, nor 0 for the default", d, least, most))
	}
}

func (c *settingsCheck) word(field, v string, words ...string) {
	if v != "" && !slices.Contains(words, v) {
		c.refuse(field, fmt.Sprintf("%q is none of %s", v, strings.Join(words, ", ")))
	}
}

func (c *settingsCheck) keep(field string, k api.Keep) {
	if age := k.Age(); age != 0 && (age < minAge || age > maxAge) {
		c.refuse(field, fmt.Sprintf("%v is not from %v to %v", k, api.KeepFor(minAge), api.KeepFor(maxAge)))
	}
	if n := k.Invocations(); n > maxKept {
		c.refuse(field, fmt.Sprintf("%d invocations are more than %d", n, uint64(maxKept)))
	}
}

func (c *settingsCheck) number(field string, v, least, most float64) {
	if math.IsNaN(v) || v != 0 && (v < least || v > most) {
		c.refuse(field, fmt.Sprintf("%v is not from %v to %v, nor 0 for the default", v, least, most))
	}
}
