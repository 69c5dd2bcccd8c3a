package solver

import (
	"context"
	"crypto"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/crypto/acme"
)

// TLSALPN01 answers tls-alpn-01 challenges (RFC 8737), for names and for
// addresses (RFC 8738).
//
// Its GetCertificate can be mounted in a tls.Config of a server on port 443,
// whose NextProtos must then have [acme.ALPNProto]; or it listens itself, see
// Addr. It is safe for concurrent use; its fields must not be changed after
// the first Solve.
type TLSALPN01 struct {
	// Key is the account's key. It is required.
	Key crypto.Signer

	// Addr is where to listen while something is being solved, such as ":443".
	// If it is empty, the TLSALPN01 does not listen: mount its GetCertificate.
	Addr string

	mu           sync.Mutex
	certificates map[string]*tls.Certificate // by server name
	server       sharedServer
}

// Solve provisions the certificate for the authorization's tls-alpn-01
// challenge. It fits authz.Manager.Solve. Its error is [ErrUnsupported] if
// there is no such challenge, or that of listening.
func (t *TLSALPN01) Solve(_ context.Context, a *acme.Authorization) (*acme.Challenge, func(), error) {
	c, err := challengeOf(a, typeTLSALPN01)
	if err != nil {
		return nil, nil, err
	}
	domain, err := name(a)
	if err != nil {
		return nil, nil, err
	}
	if t.Key == nil {
		return nil, nil, errNoKey
	}
	certificate, err := (&acme.Client{Key: t.Key}).TLSALPN01ChallengeCert(c.Token, domain)
	if err != nil {
		return nil, nil, fmt.Errorf("solver: tls-alpn-01: %w", err)
	}
	sni := serverName(domain)
	t.mu.Lock()
	if t.certificates == nil {
		t.certificates = make(map[string]*tls.Certificate)
	}
	t.certificates[sni] = &certificate
	t.mu.Unlock()
	if t.Addr != "" {
		if err := t.server.open(t.Addr, t.wrap); err != nil {
			t.forget(sni)
			return nil, nil, err
		}
	}
	return c, sync.OnceFunc(func() {
		t.forget(sni)
		if t.Addr != "" {
			t.server.close()
		}
	}), nil
}

func (t *TLSALPN01) wrap(l net.Listener) (net.Listener, http.Handler) {
	config := &tls.Config{GetCertificate: t.GetCertificate, NextProtos: []string{acme.ALPNProto}, MinVersion: tls.VersionTLS12}
	return tls.NewListener(l, config), http.NotFoundHandler()
}

func (t *TLSALPN01) forget(sni string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.certificates, sni)
}

// GetCertificate is for a tls.Config. It returns nil for what is not the CA's
// validation of something that is being solved, so that another certificate
// can be tried.
func (t *TLSALPN01) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if !slices.Equal(hello.SupportedProtos, []string{acme.ALPNProto}) {
		return nil, nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.certificates[strings.ToLower(strings.TrimSuffix(hello.ServerName, "."))], nil
}

// serverName is what the CA asks for: the name, or that of the address in the
// reverse zone (RFC 8738 §6).
func serverName(domain string) string {
	ip, err := netip.ParseAddr(domain)
	if err != nil {
		return strings.ToLower(domain)
	}
	var labels []string
	if ip.Is4() {
		for _, b := range ip.As4() {
			labels = append(labels, strconv.Itoa(int(b)))
		}
		slices.Reverse(labels)
		return strings.Join(labels, ".") + ".in-addr.arpa"
	}
	const hex = "0123456789abcdef"
	for _, b := range ip.As16() {
		labels = append(labels, string(hex[b>>4]), string(hex[b&15]))
	}
	slices.Reverse(labels)
	return strings.Join(labels, ".") + ".ip6.arpa"
}
