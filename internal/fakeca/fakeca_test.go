package fakeca_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/acme"

	"github.com/acmeauthz/acmeauthz/internal/fakeca"
)

// TestXCrypto drives every behaviour with x/crypto's client, in memory and over TCP.
func TestXCrypto(t *testing.T) {
	for _, tt := range []struct {
		name        string
		behavior    fakeca.Behavior
		deactivated string // status after RevokeAuthorization
		refused     int    // what RevokeAuthorization's error says, 0 for none
		answered    string // status after a failing answer
		challenge   string // of the challenge then
	}{
		{"Boulder", fakeca.Boulder, acme.StatusDeactivated, 0, acme.StatusInvalid, acme.StatusInvalid},
		{"StepCA", fakeca.StepCA, acme.StatusPending, 400, acme.StatusPending, acme.StatusPending},
		{"Ignores", fakeca.Ignores, acme.StatusPending, 0, acme.StatusInvalid, acme.StatusInvalid},
		{"OpenBao", fakeca.OpenBao, acme.StatusDeactivated, 0, acme.StatusInvalid, acme.StatusInvalid},
		{"Pebble", fakeca.Pebble, acme.StatusDeactivated, 0, acme.StatusInvalid, acme.StatusInvalid},
	} {
		for _, network := range []string{"memory", "TCP"} {
			t.Run(tt.name+" "+network, func(t *testing.T) {
				ca := fakeca.New(fakeca.Config{Behavior: tt.behavior, Lenient: true})
				if network == "TCP" {
					ca.Start(t)
				}
				client := &acme.Client{Key: ca.Client().Key, DirectoryURL: ca.DirectoryURL(), HTTPClient: ca.HTTPClient()}
				account, err := client.GetReg(t.Context(), "")
				require.NoError(t, err)
				require.Equal(t, string(ca.Client().KID), account.URI)

				order, err := client.AuthorizeOrder(t.Context(), acme.DomainIDs("a.example.com", "*.a.example.com"))
				require.NoError(t, err)
				require.Equal(t, acme.StatusPending, order.Status)
				require.Len(t, order.AuthzURLs, 2)

				wildcard, err := client.GetAuthorization(t.Context(), order.AuthzURLs[1])
				require.NoError(t, err)
				require.True(t, wildcard.Wildcard)
				require.Equal(t, acme.AuthzID{Type: "dns", Value: "a.example.com"}, wildcard.Identifier)
				require.Len(t, wildcard.Challenges, 1)
				require.Equal(t, "dns-01", wildcard.Challenges[0].Type)

				err = client.RevokeAuthorization(t.Context(), order.AuthzURLs[0])
				if tt.refused == 0 {
					require.NoError(t, err)
				} else {
					var problem *acme.Error
					require.ErrorAs(t, err, &problem)
					require.Equal(t, tt.refused, problem.StatusCode)
				}
				require.Equal(t, tt.deactivated, ca.Authorization(order.AuthzURLs[0]).Status)

				_, err = client.Accept(t.Context(), wildcard.Challenges[0])
				require.NoError(t, err)
				wildcard, err = client.GetAuthorization(t.Context(), order.AuthzURLs[1])
				require.NoError(t, err)
				require.Equal(t, tt.answered, wildcard.Status)
				require.Equal(t, tt.challenge, wildcard.Challenges[0].Status)
				require.Error(t, wildcard.Challenges[0].Error)
			})
		}
	}
}

// TestSynctest shows that a CA lives on a bubble's clock.
func TestSynctest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := fakeca.New(fakeca.Config{Latency: time.Second, SettleAfter: time.Minute})
		url, client, start := ca.Add(fakeca.Authorization{}), ca.Client(), time.Now()
		a, err := client.GetAuthorization(t.Context(), url)
		require.NoError(t, err)
		require.Equal(t, 3*time.Second, time.Since(start)) // directory, nonce, read
		_, err = client.Accept(t.Context(), a.Challenges[0])
		require.NoError(t, err)
		require.Equal(t, acme.StatusPending, ca.Authorization(url).Status)
		time.Sleep(time.Minute)
		require.Equal(t, acme.StatusInvalid, ca.Authorization(url).Status)
		require.Equal(t, 1, ca.Count(fakeca.Read))
		require.Equal(t, 1, ca.Count(fakeca.AnswerChallenge))
		require.Equal(t, 1, ca.MaxInFlight())
	})
}

// TestConnections counts the TCP connections of a client that keeps them.
func TestConnections(t *testing.T) {
	ca := fakeca.New(fakeca.Config{})
	ca.Start(t)
	client := ca.Client()
	for range 10 {
		_, err := client.GetAuthorization(t.Context(), ca.Add(fakeca.Authorization{}))
		require.NoError(t, err)
	}
	require.Equal(t, 1, ca.Connections())
	require.Equal(t, http.MethodPost, ca.Requests()[5].Method)
	require.Equal(t, client.KID, ca.Requests()[5].KID)
}
