package authz_test

import (
	"context"
	"iter"
	"net"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/acme"

	"github.com/acmeauthz/acmeauthz/authz"
	"github.com/acmeauthz/acmeauthz/authz/solver"
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
			t.Run("wait", func(t *testing.T) { waits(t, ca) })
			t.Run("finish", func(t *testing.T) { finishes(t, ca) })
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

// listsOrders reads the account's list, which is a bare array here and has only
// pending orders.
func listsOrders(t *testing.T, ca *realca.CA) {
	client := ca.Client(t)
	var orders, urls []string
	for range 3 {
		order, some := realca.Order(t, client, realca.Unresolvable(2)...)
		orders, urls = append(orders, order), append(urls, some...)
	}
	m := &authz.Manager{Client: client}
	require.ElementsMatch(t, orders, collect(t, m.Orders(t.Context())))
	require.ElementsMatch(t, urls, collect(t, m.Authorizations(t.Context(), m.Orders(t.Context()))))
}

// waits chooses by what is known of the servers: nothing is sent that they
// would refuse.
func waits(t *testing.T, ca *realca.CA) {
	client := ca.Client(t)
	m := &authz.Manager{Client: client, Policy: authz.Policy{KeepYounger: -1}}
	profile, err := m.Profile(t.Context())
	require.NoError(t, err)
	require.Equal(t, "step-ca or Caddy", profile.Name)
	_, urls := realca.Order(t, client, realca.Unresolvable(3)...)
	plan, err := m.Plan(t.Context(), authz.URLs(urls...))
	require.NoError(t, err)
	require.Equal(t, 3, plan.Count(authz.ActionWait))
	results, err := gather(t, m.Clear(t.Context(), authz.URLs(urls...)))
	require.NoError(t, err)
	for _, r := range results {
		require.NoError(t, r.Err)
		require.Equal(t, authz.ActionWait, r.Decision.Action)
		require.WithinDuration(t, time.Now().Add(24*time.Hour), r.Decision.At, time.Hour)
	}
	requirePending(t, m, urls)

	// Without the profile, the first refusals tell.
	m.Profiles = profileOf(t, "unknown CA")
	results, err = gather(t, m.Clear(t.Context(), authz.URLs(urls...)))
	require.NoError(t, err)
	for _, r := range results {
		require.NoError(t, r.Err)
		require.Equal(t, authz.ActionWait, r.Decision.Action)
		require.Contains(t, r.Decision.Reason, "this CA does not deactivate")
	}
	requirePending(t, m, urls)
}

// finishes validates what cannot be cleared, where the server lets a test
// answer.
func finishes(t *testing.T, ca *realca.CA) {
	if ca.ValidationPort == 80 {
		t.Skip("it validates at port 80 only")
	}
	client := ca.Client(t)
	web := &solver.HTTP01{Key: client.Key, Addr: net.JoinHostPort(realca.Loopback, strconv.Itoa(ca.ValidationPort))}
	m := &authz.Manager{Client: client, Policy: authz.Policy{KeepYounger: -1}, Solve: web.Solve}
	_, urls := realca.Order(t, client, append(realca.Unresolvable(1), realca.Loopback)...)
	order, err := client.GetOrder(t.Context(), collect(t, m.Orders(t.Context()))[0])
	require.NoError(t, err)
	results, err := gather(t, m.Clear(t.Context(), authz.URLs(urls[1])))
	require.NoError(t, err)
	require.NoError(t, results[0].Err)
	require.Equal(t, authz.ActionFinish, results[0].Decision.Action)
	require.Equal(t, acme.StatusValid, results[0].Authorization.Status)
	require.True(t, results[0].Changed)
	require.Equal(t, acme.StatusPending, order.Status)
}
