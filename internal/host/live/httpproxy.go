package live

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"

	"github.com/waterbear-run/waterbear/internal/host/exchange"
	"github.com/waterbear-run/waterbear/internal/host/reach"
)

// What Egress.Proxy can be beside a URL, as package api has it.
const (
	proxyOff         = "off"
	proxyEnvironment = "environment"
)

// via gives the proxy that req goes through, or nil, if it may go through it.
func via(ctx context.Context, policy exchange.Policy, req *http.Request) (proxy *url.URL, err error) {
	switch text := policy.Egress.Proxy; text {
	case "", proxyOff:
		return nil, nil
	case proxyEnvironment:
		proxy, err = http.ProxyFromEnvironment(req)
	default:
		proxy, err = url.Parse(text)
	}
	if proxy == nil || err != nil {
		return nil, err
	}
	host, port := req.URL.Hostname(), uint64(80)
	if req.URL.Scheme == "https" {
		port = 443
	}
	if text := req.URL.Port(); text != "" {
		if port, err = strconv.ParseUint(text, 10, 16); err != nil {
			return nil, err
		}
	}
	return proxy, relay(ctx, policy.Reach, host, uint16(port))
}

// relay says whether a proxy may be asked for a host. The address that it dials
// is the proxy's affair and cannot be seen, so what can be known of the name must
// be permitted: how it is written, and each address that it has here. A name that
// has none here is left to the proxy, unless it is one of a machine or a network.
func relay(ctx context.Context, r reach.Rules, host string, port uint16) error {
	if !r.Consider(host, port) {
		return errDenied
	}
	if r.Names(host, port) {
		return nil // whoever listed the name answers for it
	}
	if reach.Local(host) {
		return errDenied
	}
	addresses, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	var dns *net.DNSError
	if errors.As(err, &dns) && !dns.IsTemporary && !dns.IsTimeout {
		return nil
	}
	if err != nil {
		return err
	}
	for _, ip := range addresses {
		if !r.Permit(host, netip.Addr(ip), port) {
			return errDenied
		}
	}
	return nil
}
