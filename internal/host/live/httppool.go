package live

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/waterbear-run/waterbear/internal/host/reach"
)

// Bounds of the connections that are kept for the next request.
const (
	maxPools       = 64
	maxIdle        = 256
	maxIdlePerHost = 16
	idleConnection = 90 * time.Second
)

// pools keep connections, apart for programs that may reach different hosts: one
// must not get a connection that it could not have made.
type pools struct {
	mu  sync.Mutex
	all map[string]*http.Transport
	// roots are the certificates to trust; nil: those of the machine.
	roots *x509.CertPool
}

func newPools() pools { return pools{all: map[string]*http.Transport{}} }

// take gives the connections that programs with these rules share.
func (p *pools) take(r reach.Rules) *http.Transport {
	p.mu.Lock()
	defer p.mu.Unlock()
	name := r.String()
	t := p.all[name]
	if t == nil {
		if len(p.all) == maxPools {
			p.drop()
		}
		t = transport(r, p.roots)
		p.all[name] = t
	}
	return t
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

// transport makes connections to what the rules permit.
func transport(r reach.Rules, roots *x509.CertPool) *http.Transport {
	return &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return dial(ctx, r, network, address)
		},
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		ForceAttemptHTTP2:      true,
		DisableCompression:     true,
		MaxIdleConns:           maxIdle,
		MaxIdleConnsPerHost:    maxIdlePerHost,
		IdleConnTimeout:        idleConnection,
		MaxResponseHeaderBytes: maxResponseHead,
	}
}

// errDenied refuses an address, or a name none of whose addresses could be taken.
var errDenied = errors.New("the program may not reach this host: see http.allow in its settings")

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
