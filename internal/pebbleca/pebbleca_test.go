package pebbleca_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/acme"

	"github.com/acmeauthz/acmeauthz/internal/pebbleca"
)

// start runs a CA for the test and registers an account.
func start(t *testing.T, config pebbleca.Config) (*pebbleca.CA, *acme.Client) {
	t.Helper()
	ca, err := pebbleca.Start(config)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, ca.Close()) })
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	client := &acme.Client{Key: key, DirectoryURL: ca.DirectoryURL(), HTTPClient: ca.HTTPClient()}
	client.RetryBackoff = func(int, *http.Request, *http.Response) time.Duration { return time.Millisecond }
	_, err = client.Register(t.Context(), &acme.Account{}, acme.AcceptTOS)
	require.NoError(t, err)
	return ca, client
}

// order orders names and returns the URLs of the authorizations.
func order(t *testing.T, client *acme.Client, names ...string) []string {
	t.Helper()
	order, err := client.AuthorizeOrder(t.Context(), acme.DomainIDs(names...))
	require.NoError(t, err)
	require.Len(t, order.AuthzURLs, len(names))
	return order.AuthzURLs
}

// post sends a signed request and returns the answer.
func post(t *testing.T, ca *pebbleca.CA, client *acme.Client, url, payload string) (int, string) {
	t.Helper()
	directory, err := client.Discover(t.Context())
	require.NoError(t, err)
	head, err := ca.HTTPClient().Head(directory.NonceURL)
	require.NoError(t, err)
	require.NoError(t, head.Body.Close())
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: client.Key, KeyID: string(client.KID)}},
		(&jose.SignerOptions{}).WithHeader("url", url).WithHeader("nonce", head.Header.Get("Replay-Nonce")))
	require.NoError(t, err)
	jws, err := signer.Sign([]byte(payload))
	require.NoError(t, err)
	response, err := ca.HTTPClient().Post(url, "application/jose+json", strings.NewReader(jws.FullSerialize()))
	require.NoError(t, err)
	defer func() { require.NoError(t, response.Body.Close()) }()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(body)
}

func TestDeactivate(t *testing.T) {
	for _, tt := range []struct {
		name     string
		strict   bool
		xcrypto  int    // what x/crypto's deactivation gets
		leftOver string // what it leaves
	}{
		{"default", false, http.StatusOK, acme.StatusDeactivated},
		{"strict", true, http.StatusBadRequest, acme.StatusPending},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ca, client := start(t, pebbleca.Config{Strict: tt.strict})
			urls := order(t, client, "a.example.com", "b.example.com", "*.c.example.com")
			statuses, err := ca.Statuses(string(client.KID))
			require.NoError(t, err)
			require.Equal(t, map[string]string{urls[0]: "pending", urls[1]: "pending", urls[2]: "pending"}, statuses)

			code, body := post(t, ca, client, urls[0], `{"status":"deactivated"}`)
			require.Equal(t, http.StatusOK, code)
			var answer struct{ Status string }
			require.NoError(t, json.Unmarshal([]byte(body), &answer))
			require.Equal(t, acme.StatusDeactivated, answer.Status)

			err = client.RevokeAuthorization(t.Context(), urls[1])
			if tt.xcrypto == http.StatusOK {
				require.NoError(t, err)
			} else {
				var problem *acme.Error
				require.ErrorAs(t, err, &problem)
				require.Equal(t, tt.xcrypto, problem.StatusCode)
				require.Equal(t, `JWS body included JSON with a deprecated ACME v1 "resource" field ("authz")`, problem.Detail)
			}
			for url, want := range map[string]string{urls[0]: acme.StatusDeactivated, urls[1]: tt.leftOver, urls[2]: acme.StatusPending} {
				status, err := ca.Status(url)
				require.NoError(t, err)
				require.Equal(t, want, status)
			}
		})
	}
}

// TestChallenges validates with what Challenges was told, and fails without.
func TestChallenges(t *testing.T) {
	ca, client := start(t, pebbleca.Config{RetryAfter: 1})
	for _, tt := range []struct {
		name, challenge string
		prepare         func(a *acme.Authorization, c *acme.Challenge)
		status          string
	}{
		{"http-01", "http-01", func(_ *acme.Authorization, c *acme.Challenge) {
			response, err := client.HTTP01ChallengeResponse(c.Token)
			require.NoError(t, err)
			ca.Challenges().AddHTTPOneChallenge(c.Token, response)
		}, acme.StatusValid},
		{"dns-01", "dns-01", func(a *acme.Authorization, c *acme.Challenge) {
			record, err := client.DNS01ChallengeRecord(c.Token)
			require.NoError(t, err)
			ca.Challenges().AddDNSTXTRecord("_acme-challenge."+a.Identifier.Value+".", record)
		}, acme.StatusValid},
		{"tls-alpn-01", "tls-alpn-01", func(a *acme.Authorization, c *acme.Challenge) {
			response, err := client.HTTP01ChallengeResponse(c.Token)
			require.NoError(t, err)
			ca.Challenges().AddTLSALPNChallenge(a.Identifier.Value, response)
		}, acme.StatusValid},
		{"http-01 unprepared", "http-01", nil, acme.StatusInvalid},
		{"dns-01 unprepared", "dns-01", nil, acme.StatusInvalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			url := order(t, client, strings.ReplaceAll(tt.name, " ", "-")+".example.com")[0]
			a, err := client.GetAuthorization(t.Context(), url)
			require.NoError(t, err)
			for _, c := range a.Challenges {
				if c.Type != tt.challenge {
					continue
				}
				if tt.prepare != nil {
					tt.prepare(a, c)
				}
				_, err := client.Accept(t.Context(), c)
				require.NoError(t, err)
			}
			require.Eventually(t, func() bool {
				status, err := ca.Status(url)
				require.NoError(t, err)
				return status == tt.status
			}, 10*time.Second, 10*time.Millisecond)
		})
	}
}

// TestUnknown asks for what is not there.
func TestUnknown(t *testing.T) {
	ca, client := start(t, pebbleca.Config{})
	for _, url := range []string{
		"https://localhost:1/authZ/x", ca.DirectoryURL(), strings.Replace(ca.DirectoryURL(), "/dir", "/authZ/x", 1), "%",
	} {
		_, err := ca.Status(url)
		require.ErrorIs(t, err, pebbleca.ErrUnknown, url)
	}
	statuses, err := ca.Statuses(string(client.KID))
	require.NoError(t, err)
	require.Empty(t, statuses)
}

// TestOtherMachines makes sure that no validation could leave this one.
func TestOtherMachines(t *testing.T) {
	_, client := start(t, pebbleca.Config{})
	_, err := client.AuthorizeOrder(t.Context(), acme.IPIDs("192.0.2.1"))
	require.ErrorContains(t, err, "only addresses on loopback")
	_, err = client.AuthorizeOrder(t.Context(), acme.IPIDs("127.0.0.1"))
	require.NoError(t, err)
}

// TestEnvironment checks that nothing is left of what Start sets.
func TestEnvironment(t *testing.T) {
	t.Setenv("PEBBLE_AUTHZREUSE", "7")
	require.NoError(t, os.Unsetenv("PEBBLE_VA_NOSLEEP"))
	ca, _ := start(t, pebbleca.Config{AlwaysValid: true})
	require.Equal(t, "7", os.Getenv("PEBBLE_AUTHZREUSE"))
	_, ok := os.LookupEnv("PEBBLE_VA_NOSLEEP")
	require.False(t, ok)
	require.True(t, x509.NewCertPool().AppendCertsFromPEM(ca.RootPEM()))
}

// TestConfig shows that AlwaysValid and BadNoncePercent reach Pebble.
func TestConfig(t *testing.T) {
	ca, client := start(t, pebbleca.Config{AlwaysValid: true, BadNoncePercent: 50})
	url := order(t, client, "a.example.com")[0]
	a, err := client.GetAuthorization(t.Context(), url)
	require.NoError(t, err)
	_, err = client.Accept(t.Context(), a.Challenges[0])
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		status, err := ca.Status(url)
		require.NoError(t, err)
		return status == acme.StatusValid
	}, 10*time.Second, 10*time.Millisecond)
	bad := 0
	for range 40 {
		if code, _ := post(t, ca, client, url, ""); code == http.StatusBadRequest {
			bad++
		}
	}
	require.Positive(t, bad)
	require.Less(t, bad, 40)
}

// TestLockUp acts out the first way into a lock-up, with a validation that ends when the test says so, and sees it reported.
// It is what the documentation warns of: if a later Pebble passes this way, the warning is out of date.
func TestLockUp(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ca, client := start(t, pebbleca.Config{HTTPPort: listener.Addr().(*net.TCPAddr).Port})
	url := order(t, client, "a.example.com")[0]
	a, err := client.GetAuthorization(t.Context(), url)
	require.NoError(t, err)
	for _, c := range a.Challenges {
		if c.Type == "http-01" {
			_, err := client.Accept(t.Context(), c)
			require.NoError(t, err)
		}
	}
	require.NoError(t, listener.(*net.TCPListener).SetDeadline(time.Now().Add(20*time.Second)))
	validation, err := listener.Accept()
	require.NoError(t, err)
	code, _ := post(t, ca, client, url, `{"status":"deactivated"}`)
	require.Equal(t, http.StatusOK, code)
	status, err := ca.Status(url)
	require.NoError(t, err)
	require.Equal(t, acme.StatusDeactivated, status)

	require.NoError(t, validation.Close())
	require.NoError(t, listener.Close())
	require.Eventually(t, func() bool {
		_, err := ca.Status(url)
		return errors.Is(err, pebbleca.ErrLockedUp)
	}, 20*time.Second, 10*time.Millisecond)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err = client.GetAuthorization(ctx, url)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}
