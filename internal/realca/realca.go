// Package realca runs CA servers as their users run them: installed programs, each a child process on loopback with a
// configuration and keys of its own, for one test.
//
// [Caddy] and [StepCA] skip the test if their program is not installed, unless REQUIRE_CADDY or REQUIRE_STEPCA is set in
// the environment: then they fail it. Everything that they start ends with the test, whose log has the server's own words
// if it failed. On Linux a server ends with the test's process, too, however that ends.
//
// # Names
//
// Both servers validate while the answer to a challenge waits. The names that a test orders must not send them off this
// machine: Caddy 2.6.2 has no setting for its resolver. Two kinds are safe:
//
//   - the identifier [Loopback], whose only challenges are http-01 and tls-alpn-01 at that address;
//   - names of [Unresolvable], which the servers' own resolver (Go's, which the environment makes them use) refuses to
//     send to a DNS server.
//
// The servers get no proxy from the test's environment.
package realca

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/acme"
)

// requestTimeout bounds each request of [CA.HTTPClient].
const requestTimeout = 15 * time.Second

// Loopback is an IP identifier (RFC 8738) that both servers take orders for.
const Loopback = "127.0.0.1"

// A CA is a running server that speaks ACME. It is safe for concurrent use and ends with the test that it was made for.
type CA struct {
	// DirectoryURL is the URL of the directory (RFC 8555, section 7.1.1), on https://localhost:<port>.
	DirectoryURL string
	// HTTPClient trusts the server's root and gives up on a request after 15 seconds. It reaches only this server.
	HTTPClient *http.Client
	// ValidationPort is the TCP port on the identifier's address where the server validates http-01. For step-ca it is a free
	// one, on which a test may listen; Caddy knows 80 only.
	ValidationPort int

	process *process
}

// newCA describes a server on a port of loopback whose directory is at that path.
func newCA(port int, path string) *CA {
	host := "localhost:" + strconv.Itoa(port)
	dialer := &net.Dialer{Timeout: requestTimeout}
	return &CA{
		DirectoryURL: "https://" + host + path,
		HTTPClient: &http.Client{
			Timeout: requestTimeout,
			Transport: &http.Transport{
				ForceAttemptHTTP2: true,
				DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
					if address != host {
						return nil, fmt.Errorf("realca: %s is not the CA", address)
					}
					return dialer.DialContext(ctx, network, loopback(port)) // whatever this machine makes of "localhost"
				},
			},
		},
	}
}

// trust makes the client trust the root in that PEM block.
func (c *CA) trust(pem []byte) error {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return fmt.Errorf("realca: no certificate in the root's file")
	}
	c.HTTPClient.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	return nil
}

// Client registers an account with a new P-256 key. The client's KID is set.
func (c *CA) Client(t testing.TB) *acme.Client {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	client := &acme.Client{Key: key, HTTPClient: c.HTTPClient, DirectoryURL: c.DirectoryURL}
	account, err := client.Register(t.Context(), &acme.Account{}, acme.AcceptTOS)
	require.NoError(t, err)
	client.KID = acme.KeyID(account.URI)
	return client
}

// Order orders a certificate and returns the URLs of the order and of its authorizations, one for each name, in the order
// of the names. A name may be an IP address. See the package's documentation on which names are safe.
func Order(t testing.TB, client *acme.Client, names ...string) (order string, authorizations []string) {
	t.Helper()
	var identifiers []acme.AuthzID
	for _, name := range names {
		if _, err := netip.ParseAddr(name); err == nil {
			identifiers = append(identifiers, acme.IPIDs(name)...)
		} else {
			identifiers = append(identifiers, acme.DomainIDs(name)...)
		}
	}
	o, err := client.AuthorizeOrder(t.Context(), identifiers)
	require.NoError(t, err)
	require.Len(t, o.AuthzURLs, len(names))
	return o.URI, o.AuthzURLs
}

// Unresolvable returns n different names that are never looked up. Go's resolver refuses names in onion (RFC 7686); and
// these are so long that no domain to search fits behind them, nor _acme-challenge before them.
func Unresolvable(n int) []string {
	label := strings.Repeat("x", 60)
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("n%05d.%s.%s.%s.%s.onion", i, label, label, label, strings.Repeat("y", 52))
	}
	return names
}

// loopback is the address of a port.
func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// freePort is a TCP port of loopback on which nobody listened a moment ago.
func freePort(t testing.TB) int {
	t.Helper()
	listener, err := net.Listen("tcp", loopback(0))
	require.NoError(t, err)
	defer func() { require.NoError(t, listener.Close()) }()
	return listener.Addr().(*net.TCPAddr).Port
}
