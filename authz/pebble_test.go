package authz_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/acme"

	"github.com/acmeauthz/acmeauthz/authz"
	"github.com/acmeauthz/acmeauthz/internal/pebbleca"
)

// The whole way against a real server, as it is and as it is when strict, with
// the nonces it spoils by default. What a Pebble that has locked up does is
// left to the fake CA.
func TestWithPebble(t *testing.T) {
	for _, strict := range []bool{false, true} {
		t.Run(fmt.Sprintf("strict=%v", strict), func(t *testing.T) {
			ca, err := pebbleca.Start(pebbleca.Config{Strict: strict, BadNoncePercent: 5})
			require.NoError(t, err)
			defer func() { require.NoError(t, ca.Close()) }()
			client := register(t, ca)
			urls := order(t, client, 25)
			statuses := func(want string, urls ...string) {
				for _, url := range urls {
					got, err := ca.Status(url)
					require.NoError(t, err)
					require.Equal(t, want, got)
				}
			}
			statuses("pending", urls...)

			m := &authz.Manager{Client: client, Parallelism: 8}
			results, err := gather(t, m.List(t.Context(), authz.URLs(urls...)))
			require.NoError(t, err)
			for _, r := range results {
				require.NoError(t, r.Err)
				require.Equal(t, "pending", r.Authorization.Status)
				require.NotEmpty(t, r.Authorization.Challenges)
			}

			cleared, answered := urls[:20], urls[20:]
			results, err = gather(t, m.Deactivate(t.Context(), authz.URLs(cleared...)))
			require.NoError(t, err)
			for _, r := range results {
				require.NoError(t, r.Err)
				require.True(t, r.Changed)
				require.Equal(t, "pending", r.Before)
			}
			statuses("deactivated", cleared...)
			statuses("pending", answered...)

			results, err = gather(t, m.Validate(t.Context(), authz.URLs(answered...)))
			require.NoError(t, err)
			for _, r := range results {
				require.NoError(t, r.Err)
				require.True(t, r.Changed)
				require.NotNil(t, r.Challenge.Error)
			}
			statuses("invalid", answered...)

			other := register(t, ca)
			other.KID = "" // so that it is looked up
			results, err = gather(t, (&authz.Manager{Client: other}).Deactivate(t.Context(), authz.URLs(urls[0], urls[0]+"404")))
			require.NoError(t, err)
			require.ErrorIs(t, results[0].Err, authz.ErrNotOurs)
			require.ErrorIs(t, results[1].Err, authz.ErrGone)

			wrong := &acme.Client{Key: other.Key, KID: client.KID, HTTPClient: ca.HTTPClient(), DirectoryURL: ca.DirectoryURL()}
			results, err = gather(t, (&authz.Manager{Client: wrong}).List(t.Context(), authz.URLs(urls...)))
			require.ErrorIs(t, err, authz.ErrAccount)
			require.Empty(t, results)
		})
	}
}

// register makes an account at Pebble.
func register(t testing.TB, ca *pebbleca.CA) *acme.Client {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	client := &acme.Client{Key: key, HTTPClient: ca.HTTPClient(), DirectoryURL: ca.DirectoryURL()}
	account, err := client.Register(t.Context(), &acme.Account{}, acme.AcceptTOS)
	require.NoError(t, err)
	client.KID = acme.KeyID(account.URI)
	return client
}

// order makes an order of n names and returns its authorizations.
func order(t testing.TB, client *acme.Client, n int) []string {
	t.Helper()
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("%d.leak.example", i)
	}
	o, err := client.AuthorizeOrder(t.Context(), acme.DomainIDs(names...))
	require.NoError(t, err)
	require.Len(t, o.AuthzURLs, n)
	return o.AuthzURLs
}

// sec1 is a client's key for another process.
func sec1(t testing.TB, key crypto.Signer) []byte {
	t.Helper()
	data, err := x509.MarshalECPrivateKey(key.(*ecdsa.PrivateKey))
	require.NoError(t, err)
	return data
}
