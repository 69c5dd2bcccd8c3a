package realca_test

import (
	"context"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/acme"

	"github.com/acmeauthz/acmeauthz/internal/realca"
)

// TestServers starts each one, orders, and sees it gone with its test.
func TestServers(t *testing.T) {
	for _, tt := range []struct {
		name  string
		start func(testing.TB) *realca.CA
	}{
		{"caddy", realca.Caddy},
		{"step-ca", realca.StepCA},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var directory string
			t.Run("running", func(t *testing.T) {
				ca := tt.start(t)
				directory = ca.DirectoryURL
				require.Equal(t, 15*time.Second, ca.HTTPClient.Timeout)
				client := ca.Client(t)
				require.NotEmpty(t, client.KID)
				names := append(realca.Unresolvable(2), realca.Loopback)
				order, authorizations := realca.Order(t, client, names...)
				require.NotEmpty(t, order)
				for i, authorization := range authorizations {
					a, err := client.GetAuthorization(t.Context(), authorization)
					require.NoError(t, err)
					require.Equal(t, names[i], a.Identifier.Value)
					require.Equal(t, acme.StatusPending, a.Status)
				}
			})
			if directory == "" {
				t.Skip("it is not installed")
			}
			u, err := url.Parse(directory)
			require.NoError(t, err)
			_, err = net.Dial("tcp", "127.0.0.1:"+u.Port())
			require.ErrorContains(t, err, "refused")
		})
	}
}

// TestUnresolvable shows that the names, and those of their dns-01 records, are not sent to a DNS server.
func TestUnresolvable(t *testing.T) {
	asked := false
	resolver := &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		asked = true
		return nil, net.ErrClosed
	}}
	names := realca.Unresolvable(2)
	require.NotEqual(t, names[0], names[1])
	for _, name := range names {
		require.LessOrEqual(t, len(name), 253)
		addresses, _ := resolver.LookupHost(t.Context(), name) // Go 1.26 has no error for that
		require.Empty(t, addresses)
		_, err := resolver.LookupTXT(t.Context(), "_acme-challenge."+name)
		require.ErrorContains(t, err, "no such host")
	}
	require.False(t, asked)
	_, err := resolver.LookupTXT(t.Context(), "_acme-challenge.name.invalid")
	require.Error(t, err)
	require.True(t, asked, "the resolver would be asked")
}
