package fakeca_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/acme"

	"github.com/acmeauthz/acmeauthz/internal/fakeca"
)

// TestLag reads an authorization and its order before and after a replica has caught up.
func TestLag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := fakeca.New(fakeca.Config{Lag: time.Second, FailureLimit: 5})
		client := ca.Client()
		url := ca.Add(fakeca.Authorization{Identifier: "f.example.com"})
		order := ca.AddOrder(fakeca.Order{Authorizations: []string{url}})
		read := func() []string {
			t.Helper()
			return []string{
				send(t, ca, request{url: url, client: client}).object.Status,
				send(t, ca, request{url: order, client: client}).object.Status,
				ca.Authorization(url).Status, ca.Order(order).Status,
			}
		}
		deactivate := func() {
			t.Helper()
			require.Equal(t, "deactivated", send(t, ca, request{url: url, client: client, payload: deactivation}).object.Status)
		}
		require.Equal(t, []string{"pending", "pending", "pending", "pending"}, read())
		deactivate()
		require.Equal(t, []string{"pending", "pending", "deactivated", "invalid"}, read())
		time.Sleep(time.Second - time.Nanosecond)
		deactivate()
		require.Equal(t, []string{"pending", "pending", "deactivated", "invalid"}, read())
		require.Equal(t, 2, ca.Failures(client.KID, "f.example.com", false))
		time.Sleep(time.Nanosecond)
		require.Equal(t, []string{"deactivated", "invalid", "deactivated", "invalid"}, read())
		deactivate()
		require.Equal(t, 2, ca.Failures(client.KID, "f.example.com", false))
		require.Equal(t, 3, ca.Deactivations(url))

		ca.SetStatus(url, acme.StatusValid)
		time.Sleep(600 * time.Millisecond)
		ca.SetStatus(url, acme.StatusRevoked)
		require.Equal(t, "deactivated", read()[0])
		time.Sleep(400 * time.Millisecond)
		require.Equal(t, []string{"valid", "ready", "revoked", "invalid"}, read())
		time.Sleep(600 * time.Millisecond)
		require.Equal(t, []string{"revoked", "invalid", "revoked", "invalid"}, read())
	})
}

// TestLagValidation shows a validation's end late, counted from that end, though nobody looked meanwhile.
func TestLagValidation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, tt := range []struct {
			wait time.Duration
			want []string
		}{
			{59 * time.Second, []string{"dns-01=pending", "http-01=pending", "tls-alpn-01=pending"}},
			{64 * time.Second, []string{"dns-01=pending", "http-01=pending", "tls-alpn-01=pending"}},
			{65 * time.Second, []string{"http-01=invalid+error"}},
		} {
			ca := fakeca.New(fakeca.Config{Lag: 5 * time.Second, SettleAfter: time.Minute})
			url := ca.Add(fakeca.Authorization{})
			send(t, ca, request{url: ca.Authorization(url).Challenges[0].URL, client: ca.Client(), payload: "{}"})
			time.Sleep(tt.wait)
			got := send(t, ca, request{url: url, client: ca.Client()})
			require.Equal(t, tt.want, got.challenges(), tt.wait)
			require.Equal(t, map[bool]string{true: "pending", false: "invalid"}[len(tt.want) == 3], got.object.Status)
		}
	})
}

// TestLagFinalize shows an issued order late.
func TestLagFinalize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := fakeca.New(fakeca.Config{Lag: time.Second, Issue: true})
		client := ca.Client()
		url := ca.AddOrder(fakeca.Order{Authorizations: []string{ca.Add(fakeca.Authorization{Status: "valid"})}})
		order, err := client.GetOrder(t.Context(), url)
		require.NoError(t, err)
		require.Equal(t, "valid", send(t, ca, request{url: order.FinalizeURL, client: client, payload: `{"csr":"AAAA"}`}).object.Status)
		late := send(t, ca, request{url: url, client: client})
		require.Equal(t, "ready", late.object.Status)
		require.NotContains(t, late.body, `"certificate"`)
		time.Sleep(time.Second)
		now := send(t, ca, request{url: url, client: client})
		require.Equal(t, "valid", now.object.Status)
		require.Contains(t, now.body, `"certificate":"`+ca.Order(url).Certificate+`"`)
	})
}

// TestDeactivations counts what was accepted, whatever it did.
func TestDeactivations(t *testing.T) {
	for behavior, want := range map[fakeca.Behavior]int{
		fakeca.Boulder: 3, fakeca.StepCA: 0, fakeca.Ignores: 3, fakeca.OpenBao: 1, fakeca.Pebble: 3,
	} {
		ca := fakeca.New(fakeca.Config{Behavior: behavior})
		url, other := ca.Add(fakeca.Authorization{}), ca.Add(fakeca.Authorization{})
		for range 3 {
			send(t, ca, request{url: url, client: ca.Client(), payload: deactivation})
		}
		send(t, ca, request{url: other, client: ca.NewAccount(), payload: deactivation})
		if behavior != fakeca.Ignores {
			send(t, ca, request{url: other, client: ca.Client(), payload: "{}"}) // at OpenBao a reading
		}
		require.Equal(t, want, ca.Deactivations(url), names[behavior])
		require.Zero(t, ca.Deactivations(other), names[behavior])
		require.Zero(t, ca.Deactivations(other+"0"), names[behavior])
	}
}
