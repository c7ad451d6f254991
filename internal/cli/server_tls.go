package cli

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"
)

// keyPair is a certificate with its key, read from files that may be replaced.
type keyPair struct {
	cert, key string
	current   atomic.Pointer[tls.Certificate]
}

func loadKeyPair(cert, key string) (*keyPair, error) {
	p := &keyPair{cert: cert, key: key}
	return p, p.load()
}

// load reads the files again. If they are no pair, the one before stays.
func (p *keyPair) load() error {
	pair, err := tls.LoadX509KeyPair(p.cert, p.key)
	if err != nil {
		return fmt.Errorf("load certificate %s with key %s: %w", p.cert, p.key, err)
	}
	p.current.Store(&pair)
	return nil
}

func (p *keyPair) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return p.current.Load(), nil
}

// reload is load for a server that runs, and says how it went.
func (p *keyPair) reload(log *slog.Logger) {
	if p == nil {
		log.Info("SIGHUP: there is no certificate to reload")
		return
	}
	if err := p.load(); err != nil {
		log.Error("SIGHUP: the certificate stays the one before", "error", err)
		return
	}
	log.Info("SIGHUP: reloaded the certificate", "expires", p.expires())
	p.warn(log)
}

func (p *keyPair) expires() time.Time { return p.current.Load().Leaf.NotAfter }

// warn says so if clients will refuse the certificate for its age.
func (p *keyPair) warn(log *slog.Logger) {
	if at := p.expires(); time.Now().After(at) {
		log.Warn("the certificate has expired; replace the files and send SIGHUP", "file", p.cert, "expired", at)
	}
}
