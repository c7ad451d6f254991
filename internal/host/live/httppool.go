package live

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/waterbear-run/waterbear/internal/host/exchange"
	"github.com/waterbear-run/waterbear/internal/host/reach"
)

// Bounds of the connections that are kept for the next request.
const (
	maxPools = 64
	maxIdle  = 256
	// maxIdlePerHost is as many as one program has requests under way: those that
	// it sends at the same time need no new connections the next time.
	maxIdlePerHost = 64
	idleConnection = 90 * time.Second
)

// pools keep connections, apart for programs that may reach different hosts, or
// reach them otherwise: one must not get a connection that it could not have made.
type pools struct {
	keep func(net.Conn) net.Conn // makes of a connection one that may be kept
	mu   sync.Mutex
	all  map[poolKey]*http.Transport
}

// poolKey is what connections depend on.
type poolKey struct {
	rules  string
	proxy  string // a URL, or empty
	egress exchange.Egress
}

// take gives the connections that programs with this policy share, to go through
// proxy unless that is nil.
func (p *pools) take(policy exchange.Policy, proxy *url.URL) (*http.Transport, error) {
	key := poolKey{rules: policy.Reach.String(), egress: policy.Egress}
	if proxy != nil {
		key.proxy = proxy.String()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if t := p.all[key]; t != nil {
		return t, nil
	}
	if len(p.all) == maxPools {
		p.drop()
	}
	t, err := p.transport(policy, proxy)
	if err == nil {
		p.all[key] = t
	}
	return t, err
}

// drop forgets all pools. Requests under way keep theirs until they end.
func (p *pools) drop() {
	for name, t := range p.all {
		t.CloseIdleConnections()
		delete(p.all, name)
	}
}

func (p *pools) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop()
}

// transport makes connections to what the rules permit, or to a proxy, for which
// the rules were asked before.
func (p *pools) transport(policy exchange.Policy, proxy *url.URL) (*http.Transport, error) {
	roots, err := trusted(policy.Egress)
	if err != nil {
		return nil, err
	}
	dialer := (&net.Dialer{}).DialContext
	if proxy == nil {
		dialer = func(ctx context.Context, network, address string) (net.Conn, error) {
			return dial(ctx, policy.Reach, network, address)
		}
	}
	t := &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := dialer(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return p.keep(c), nil
		},
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		ForceAttemptHTTP2:      true,
		DisableCompression:     true,
		MaxIdleConns:           maxIdle,
		MaxIdleConnsPerHost:    maxIdlePerHost,
		IdleConnTimeout:        idleConnection,
		MaxResponseHeaderBytes: maxResponseHead,
	}
	if proxy != nil {
		t.Proxy = http.ProxyURL(proxy)
	}
	return t, nil
}

// errRoots refuses to trust what is no certificate.
var errRoots = errors.New("the certificates to trust cannot be read: see http.roots in the settings")

// trusted are the certificates to trust; nil: those of the machine.
func trusted(e exchange.Egress) (*x509.CertPool, error) {
	if e.Roots == "" && !e.RootsOnly {
		return nil, nil
	}
	pool := x509.NewCertPool()
	if !e.RootsOnly {
		var err error
		if pool, err = x509.SystemCertPool(); err != nil {
			return nil, fmt.Errorf("read the certificates that the machine trusts: %w", err)
		}
	}
	if e.Roots != "" && !pool.AppendCertsFromPEM([]byte(e.Roots)) {
		return nil, errRoots
	}
	return pool, nil
}

// errDenied refuses an address, or a name none of whose addresses could be taken.
var errDenied = errors.New("the program may not reach this host: --http-allow, in its settings http.allow, says which it may")

// dial connects to address if the rules permit the very address that is dialed.
func dial(ctx context.Context, r reach.Rules, network, address string) (net.Conn, error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return nil, err
	}
	if !r.Consider(host, uint16(port)) {
		return nil, errDenied
	}
	d := net.Dialer{ControlContext: func(_ context.Context, _, resolved string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(resolved)
		if err != nil {
			return err
		}
		if !r.Permit(host, at.Addr(), at.Port()) {
			return errDenied
		}
		return nil
	}}
	return d.DialContext(ctx, network, address)
}
