package cli

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
)

// resolve fills in what depends on other settings.
func (c *config) resolve() {
	if c.auth != "" {
		return
	}
	c.auth = authOn
	if loopback(c.listen) {
		c.auth = authOff
	}
}

// check tells all that cannot work, although each value is one by itself.
func (c *config) check() []error {
	var wrong []error
	if err := c.checkState(); err != nil {
		wrong = append(wrong, err)
	}
	for _, pair := range [][2]string{{"tls.cert", "tls.key"}, {"routes.tls-cert", "routes.tls-key"}} {
		if err := c.checkTLS(pair[0], pair[1]); err != nil {
			wrong = append(wrong, err)
		}
	}
	if err := c.checkAuth(); err != nil {
		wrong = append(wrong, err)
	}
	if c.workers.Retry.Initial > c.workers.Retry.Max {
		wrong = append(wrong, c.beyond("retry.initial", "retry.max"))
	}
	if h := c.workers.HTTP.Retries; h.Initial > h.Max {
		wrong = append(wrong, c.beyond("http.retry-initial", "http.retry-max"))
	}
	if c.tlsRoots != "" { // what it says counts from here on
		var err error
		if c.workers.HTTP.Roots, err = readRoots(c.tlsRoots); err != nil {
			wrong = append(wrong, c.setting("http.tls-roots").wrong("%w", err))
		}
	}
	if c.workers.Limits.Memory > c.maxMemory {
		wrong = append(wrong, c.beyond("limits.memory", "workers.max-memory"))
	}
	return wrong
}

// beyond refuses a setting that is more than another one allows.
func (c *config) beyond(key, most string) error {
	s, m := c.setting(key), c.setting(most)
	return s.wrong("%s is more than %s, which is %s", s.text(), most, m.text())
}

func (c *config) checkState() error {
	stat, err := os.Stat(c.state)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil // it will be made
	case err != nil:
		return c.setting("state").wrong("%w", err)
	case !stat.IsDir():
		return c.setting("state").wrong("%s is no directory", shellQuote(c.state))
	}
	return nil
}

func (c *config) checkTLS(certKey, keyKey string) error {
	cert, key := c.setting(certKey), c.setting(keyKey)
	switch {
	case cert.text() == "" && key.text() == "":
		return nil
	case key.text() == "":
		return cert.wrong("a certificate needs its private key; give %s too", keyKey)
	case cert.text() == "":
		return key.wrong("a private key needs its certificate; give %s too", certKey)
	}
	_, err := tls.LoadX509KeyPair(cert.text(), key.text())
	if err != nil {
		return cert.wrong("load %s with the key %s: %w", shellQuote(cert.text()), shellQuote(key.text()), err)
	}
	return nil
}

func (c *config) checkAuth() error {
	if c.auth == authOff {
		if !loopback(c.listen) {
			return c.setting("auth").wrong("off is for loopback addresses, and others can reach %s; set auth to on, or listen on 127.0.0.1", c.listen)
		}
		if c.adminTokenFile != "" {
			return c.setting("admin-token-file").wrong("requests need no token; set auth to on")
		}
	}
	if c.adminTokenFile == "" {
		return nil
	}
	if _, err := c.adminSecret(); err != nil {
		return c.setting("admin-token-file").wrong("%w", err)
	}
	return nil
}

// The length of a secret that a person chose. What we make up is longer than
// the least.
const (
	minSecret = 32
	maxSecret = 512
)

// adminSecret reads the secret that the first token is to have.
func (c *config) adminSecret() (string, error) {
	content, err := readBounded(c.adminTokenFile, maxSecret+2) // with the end of a line
	if err != nil {
		return "", err
	}
	secret := strings.TrimRight(string(content), "\r\n")
	if len(secret) < minSecret || len(secret) > maxSecret {
		return "", fmt.Errorf("%s: want one line of %d to %d characters, as `openssl rand -hex 32` makes one", shellQuote(c.adminTokenFile), minSecret, maxSecret)
	}
	for _, r := range secret {
		if r <= ' ' || r > '~' {
			return "", fmt.Errorf("%s: want letters, digits and signs of ASCII alone, without blanks", shellQuote(c.adminTokenFile))
		}
	}
	return secret, nil
}

// explainListen adds the next step to an error of listening at what a setting
// says.
func (c *config) explainListen(key, at string, err error) error {
	listen := c.setting(key)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return listen.wrong("%s is in use, perhaps by another `waterbear server`; give another port with --%s, or 0 for a free one", at, listen.flag())
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return listen.wrong("this machine does not have the address of %s", at)
	case errors.Is(err, syscall.EACCES):
		return listen.wrong("only a privileged user may listen on %s; give a port from 1024 on", at)
	}
	return listen.wrong("%w", err)
}
