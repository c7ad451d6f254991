package live

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/waterbear-run/waterbear/internal/host/config"
)

// ConfigSource reads where values come from, as people write it:
//
//	dir:PATH       PATH/COMPONENT/NAME is a file with a value
//	env:PREFIX     the variable PREFIX COMPONENT __ NAME, without blanks
//	https://HOST…  JSON, an object of strings, at that address followed by /COMPONENT
func ConfigSource(text string) (config.Source, error) {
	if dir, ok := strings.CutPrefix(text, "dir:"); ok && dir != "" {
		return configDir(dir), nil
	}
	if prefix, ok := strings.CutPrefix(text, "env:"); ok && prefix != "" {
		return configEnv(prefix), nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("%q is no source of values: write dir:PATH, env:PREFIX, or an address that begins with http:// or https:// and has no query", text)
	}
	return &configHTTP{url: u, client: &http.Client{
		Timeout:       configTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// configDir is a directory with a directory for each component, as Kubernetes
// mounts them.
type configDir string

// Values implements config.Source.
func (d configDir) Values(_ context.Context, component string) (map[string]string, error) {
	dir := filepath.Join(string(d), component)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	values := map[string]string{}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue // what Kubernetes keeps its versions in
		}
		text, ok, err := configFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		if ok {
			values[e.Name()] = text
		}
	}
	return values, nil
}

// configFile reads a value, without the end of its last line. What is no file has
// none.
func configFile(name string) (string, bool, error) {
	info, err := os.Stat(name)
	if err != nil || !info.Mode().IsRegular() {
		return "", false, err
	}
	f, err := os.Open(name)
	if err != nil {
		return "", false, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, config.MaxBytes+1))
	switch {
	case err != nil:
		return "", false, err
	case len(b) > config.MaxBytes:
		return "", false, fmt.Errorf("%s has more than %d bytes", name, config.MaxBytes)
	case !utf8.Valid(b):
		return "", false, fmt.Errorf("%s is not UTF-8", name)
	}
	text := strings.TrimSuffix(string(b), "\n")
	return strings.TrimSuffix(text, "\r"), true, nil
}

// configEnv are the server's variables that begin with a prefix.
type configEnv string

// Values implements config.Source.
func (prefix configEnv) Values(_ context.Context, component string) (map[string]string, error) {
	values := map[string]string{}
	begin := string(prefix) + variableName(component) + "__"
	for _, e := range os.Environ() {
		name, value, _ := strings.Cut(e, "=")
		if name, ok := strings.CutPrefix(name, begin); ok && name != "" && utf8.ValidString(value) {
			values[name] = value
		}
	}
	return values, nil
}

// variableName is a component's name as part of that of a variable.
func variableName(component string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' {
			return r
		}
		return '_'
	}, strings.ToUpper(component))
}

// configHTTP asks a service.
type configHTTP struct {
	url    *url.URL
	client *http.Client
}

// configTimeout is how long the service may take, in all.
const configTimeout = 10 * time.Second

// configAuthorization is the variable with what the service is told of who asks.
const configAuthorization = "WATERBEAR_CONFIG_AUTHORIZATION"

// Values implements config.Source.
func (h *configHTTP) Values(ctx context.Context, component string) (map[string]string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.url.JoinPath(component).String(), http.NoBody)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	if a := os.Getenv(configAuthorization); a != "" {
		req.Header.Set("Authorization", a)
	}
	resp, err := h.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask for the configuration of %s: %w", component, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNotFound {
		return nil, nil
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("ask %s for the configuration of %s: it answers %s", h.url.Redacted(), component, resp.Status)
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, 2*config.MaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read the configuration of %s from %s: %w", component, h.url.Redacted(), err)
	}
	var values map[string]string
	if err := json.Unmarshal(b, &values); err != nil {
		return nil, fmt.Errorf("read the configuration of %s from %s: it is no JSON object of strings, or longer than %d bytes", component, h.url.Redacted(), 2*config.MaxBytes)
	}
	return values, nil
}
