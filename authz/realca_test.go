package authz_test

import (
	"context"
	"encoding/json"
	"io"
	"iter"
	"net/http"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/acme"

	"github.com/acmeauthz/acmeauthz/authz"
	"github.com/acmeauthz/acmeauthz/internal/realca"
)

const problemPrefix = "urn:ietf:params:acme:error:"

// The servers that refuse to deactivate, as they are installed: nothing that
// this package does to a pending authorization may claim to have changed it.
func TestWithServersThatRefuse(t *testing.T) {
	for _, tt := range []struct {
		name  string
		start func(testing.TB) *realca.CA
	}{
		{"caddy", realca.Caddy},
		{"step-ca", realca.StepCA},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ca := tt.start(t)
			client := ca.Client(t)
			t.Run("deactivate", func(t *testing.T) { refusesDeactivation(t, client) })
			t.Run("validate", func(t *testing.T) { leavesPending(t, ca, client) })
			t.Run("others", func(t *testing.T) { tellsOthers(t, ca, client) })
			t.Run("orders", func(t *testing.T) { listsOrders(t, ca) })
		})
	}
}

// requirePending requires that all of them read as pending.
func requirePending(t *testing.T, m *authz.Manager, urls []string) {
	t.Helper()
	results, err := gather(t, m.List(t.Context(), authz.URLs(urls...)))
	require.NoError(t, err)
	require.Len(t, results, len(urls))
	for i, r := range results {
		require.NoError(t, r.Err)
		require.Equal(t, urls[i], r.URL)
		require.Equal(t, acme.StatusPending, r.Before)
		require.Equal(t, acme.StatusPending, r.Authorization.Status)
		require.False(t, r.Authorization.Expires.IsZero())
		require.NotEmpty(t, r.Authorization.Challenges)
		require.False(t, r.Changed)
	}
}

func refusesDeactivation(t *testing.T, client *acme.Client) {
	m := &authz.Manager{Client: client, Parallelism: 8}
	_, urls := realca.Order(t, client, realca.Unresolvable(20)...)
	requirePending(t, m, urls)
	results, err := gather(t, m.Deactivate(t.Context(), authz.URLs(urls...)))
	require.NoError(t, err)
	require.Len(t, results, len(urls))
	for _, r := range results {
		require.ErrorIs(t, r.Err, authz.ErrRefused)
		var problem *acme.Error
		require.ErrorAs(t, r.Err, &problem)
		require.Equal(t, http.StatusBadRequest, problem.StatusCode)
		require.Equal(t, problemPrefix+"malformed", problem.ProblemType)
		require.False(t, r.Changed)
		require.Equal(t, acme.StatusPending, r.Authorization.Status)
	}
	requirePending(t, m, urls)
}

// leavesPending lets dns-01 fail where a name is never looked up, and http-01
// where nobody answers for it on this machine.
func leavesPending(t *testing.T, ca *realca.CA, client *acme.Client) {
	m := &authz.Manager{Client: client}
	names := append(realca.Unresolvable(2), realca.Loopback)
	_, urls := realca.Order(t, client, names...)
	results, err := gather(t, m.Validate(t.Context(), authz.URLs(urls...)))
	require.NoError(t, err)
	require.Len(t, results, len(urls))
	for i, kind := range []string{"dns-01", "dns-01", "http-01"} {
		r := results[i]
		require.ErrorIs(t, r.Err, authz.ErrPending)
		var pending *authz.PendingError
		require.ErrorAs(t, r.Err, &pending)
		require.True(t, pending.RetryAt.IsZero())
		var problem *acme.Error
		require.ErrorAs(t, pending.Err, &problem)
		switch {
		case kind == "dns-01":
			require.Equal(t, problemPrefix+"dns", problem.ProblemType)
		case ca.ValidationPort != 80: // where this machine may have a web server, whose answer fails as well
			require.Equal(t, problemPrefix+"connection", problem.ProblemType)
		}
		require.Equal(t, kind, r.Challenge.Type)
		require.False(t, r.Changed)
		require.Equal(t, acme.StatusPending, r.Authorization.Status)
	}
	requirePending(t, m, urls)
}

func tellsOthers(t *testing.T, ca *realca.CA, client *acme.Client) {
	_, urls := realca.Order(t, client, realca.Unresolvable(1)...)
	other := ca.Client(t)
	for _, kid := range []acme.KeyID{other.KID, ""} { // without, it is looked up
		other.KID = kid
		m := &authz.Manager{Client: other}
		for _, do := range []func(context.Context, iter.Seq2[string, error]) iter.Seq2[authz.Result, error]{m.List, m.Deactivate, m.Validate} {
			results, err := gather(t, do(t.Context(), authz.URLs(urls[0], urls[0]+"404")))
			require.NoError(t, err)
			require.ErrorIs(t, results[0].Err, authz.ErrNotOurs)
			require.NotErrorIs(t, results[0].Err, authz.ErrGone)
			require.ErrorIs(t, results[1].Err, authz.ErrGone)
			require.NotErrorIs(t, results[1].Err, authz.ErrNotOurs)
		}
	}
	wrong := &acme.Client{Key: other.Key, KID: client.KID, HTTPClient: ca.HTTPClient, DirectoryURL: ca.DirectoryURL}
	results, err := gather(t, (&authz.Manager{Client: wrong}).List(t.Context(), authz.URLs(urls...)))
	require.ErrorIs(t, err, authz.ErrAccount)
	require.Empty(t, results)
	requirePending(t, &authz.Manager{Client: client}, urls)
}

// listsOrders reads the list that an account names (RFC 8555, section
// 7.1.2.1), which is an object there and a bare array here.
func listsOrders(t *testing.T, ca *realca.CA) {
	client := ca.Client(t)
	var want []string
	for range 3 {
		order, _ := realca.Order(t, client, realca.Unresolvable(2)...)
		want = append(want, order)
	}
	account, err := client.GetReg(t.Context(), "")
	require.NoError(t, err)
	require.Equal(t, string(client.KID)+"/orders", account.OrdersURL)
	response := postAsGet(t, ca, client, account.OrdersURL)
	defer func() { require.NoError(t, response.Body.Close()) }()
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.NotContains(t, strings.Join(response.Header.Values("Link"), " "), "next")
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	var got []string
	require.NoError(t, json.Unmarshal(body, &got), "%s", body)
	require.ElementsMatch(t, want, got)
}

// postAsGet reads a resource with a request signed by hand.
func postAsGet(t *testing.T, ca *realca.CA, client *acme.Client, url string) *http.Response {
	t.Helper()
	directory, err := client.Discover(t.Context())
	require.NoError(t, err)
	head, err := ca.HTTPClient.Head(directory.NonceURL)
	require.NoError(t, err)
	require.NoError(t, head.Body.Close())
	key := jose.JSONWebKey{Key: client.Key, KeyID: string(client.KID)}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key},
		(&jose.SignerOptions{}).WithHeader("url", url).WithHeader("nonce", head.Header.Get("Replay-Nonce")))
	require.NoError(t, err)
	jws, err := signer.Sign([]byte{})
	require.NoError(t, err)
	response, err := ca.HTTPClient.Post(url, "application/jose+json", strings.NewReader(jws.FullSerialize()))
	require.NoError(t, err)
	return response
}
