package authz

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"

	"golang.org/x/crypto/acme"
)

// An origins is the set of origins that requests may be signed for: those of
// the URLs in the CA's directory (RFC 8555 §7.1.1). A log is no authority for
// where a signature goes; the directory is.
type origins struct {
	named map[string]bool        // "https://ca.example:8443"
	allow func(host string) bool // Manager.AllowHost
}

// directoryOrigins is the set for the directory found at its URL. Links to
// documents for people, the terms for instance, do not count.
func directoryOrigins(at string, d acme.Directory, allow func(string) bool) origins {
	o := origins{named: make(map[string]bool), allow: allow}
	for _, s := range []string{at, d.NonceURL, d.RegURL, d.OrderURL, d.AuthzURL, d.RevokeURL, d.KeyChangeURL} {
		if u, err := secureURL(s); err == nil {
			o.named[origin(u)] = true
		}
	}
	return o
}

// check returns an error that wraps ErrForeign unless requests may be signed
// for s.
func (o origins) check(s string) error {
	u, err := secureURL(s)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrForeign, err)
	}
	if o.named[origin(u)] || o.allow != nil && o.allow(host(u)) {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrForeign, origin(u))
}

// secureURL parses an absolute https URL, or an http one on the loopback
// interface, that names nothing but a resource.
func secureURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return nil, fmt.Errorf("authz: %w", err)
	case u.Host == "" || u.Opaque != "":
		return nil, fmt.Errorf("authz: %q is not an absolute URL", s)
	case u.User != nil || u.Fragment != "":
		return nil, fmt.Errorf("authz: %q has a user or a fragment", u.Redacted())
	case u.Scheme == "https", u.Scheme == "http" && loopback(u.Hostname()):
		return u, nil
	}
	return nil, fmt.Errorf("authz: %q is not https", s)
}

func loopback(hostname string) bool {
	ip, err := netip.ParseAddr(hostname)
	return err == nil && ip.IsLoopback() || strings.EqualFold(hostname, "localhost")
}

// origin is the scheme, host and port of u, with the default port left out
// (RFC 6454 §4).
func origin(u *url.URL) string { return u.Scheme + "://" + host(u) }

func host(u *url.URL) string {
	h := strings.ToLower(u.Hostname())
	port := u.Port()
	if port == "" || u.Scheme == "https" && port == "443" || u.Scheme == "http" && port == "80" {
		if strings.Contains(h, ":") {
			return "[" + h + "]"
		}
		return h
	}
	return net.JoinHostPort(h, port)
}

// sameURL reports whether a and b name the same resource, however they are
// spelled.
func sameURL(a, b string) bool {
	u, err := url.Parse(a)
	if err != nil {
		return a == b
	}
	v, err := url.Parse(b)
	return err == nil && origin(u) == origin(v) && u.Path == v.Path
}
