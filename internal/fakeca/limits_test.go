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

// order asks for an order of names and returns the answer.
func order(t *testing.T, ca *fakeca.CA, client *acme.Client, names ...string) answer {
	t.Helper()
	payload := ""
	for _, name := range names {
		payload += `,{"type":"dns","value":"` + name + `"}`
	}
	return send(t, ca, request{url: ca.URL() + "/acme/new-order", client: client, payload: `{"identifiers":[` + payload[1:] + `]}`})
}

// fail makes an authorization for a name and deactivates it.
func fail(t *testing.T, ca *fakeca.CA, client *acme.Client, identifier string, wildcard bool) {
	t.Helper()
	url := ca.Add(fakeca.Authorization{Owner: client.KID, Identifier: identifier, Wildcard: wildcard})
	require.Equal(t, 200, send(t, ca, request{url: url, client: client, payload: deactivation}).StatusCode)
}

// TestFailureLimit acts out what was recorded at a Boulder with 5 failures an hour.
func TestFailureLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := fakeca.New(fakeca.Config{FailureLimit: 5})
		client, other := ca.Client(), ca.NewAccount()
		for range 5 {
			require.Equal(t, 201, order(t, ca, client, "f.example.com").StatusCode)
			fail(t, ca, client, "f.example.com", false)
		}
		got := order(t, ca, client, "f.example.com")
		require.Equal(t, 429, got.StatusCode)
		require.Equal(t, "urn:ietf:params:acme:error:rateLimited", got.problem.Type)
		// The clock of a bubble starts at midnight, 2000-01-01.
		require.Equal(t, `too many failed authorizations (5) for "f.example.com" in the last 1h0m0s, retry after 2000-01-01 00:12:00 UTC: `+
			"see https://letsencrypt.org/docs/rate-limits/#authorization-failures-per-identifier-per-account", got.problem.Detail)
		require.Equal(t, "720", got.Header.Get("Retry-After"))
		require.Equal(t, `<https://letsencrypt.org/docs/rate-limits>;rel="help"`, got.Header.Get("Link"))

		require.Equal(t, 201, order(t, ca, client, "g.example.com").StatusCode)
		require.Equal(t, 429, order(t, ca, client, "h.example.com", "f.example.com").StatusCode)
		require.Equal(t, 201, order(t, ca, client, "sub.f.example.com").StatusCode)
		require.Equal(t, 201, order(t, ca, client, "*.f.example.com").StatusCode)
		require.Equal(t, 201, order(t, ca, other, "f.example.com").StatusCode)
		require.Equal(t, 5, ca.Failures(client.KID, "f.example.com", false))
		require.Zero(t, ca.Failures(client.KID, "f.example.com", true))
		require.Zero(t, ca.Failures(other.KID, "f.example.com", false))
		require.Zero(t, ca.Failures("https://stranger.example/1", "f.example.com", false))
		require.Empty(t, ca.Overdrawn())

		time.Sleep(12*time.Minute - time.Nanosecond)
		got = order(t, ca, client, "f.example.com")
		require.Equal(t, 429, got.StatusCode)
		require.Equal(t, "1", got.Header.Get("Retry-After"))
		time.Sleep(time.Nanosecond)
		require.Equal(t, 201, order(t, ca, client, "f.example.com").StatusCode)
		fail(t, ca, client, "f.example.com", false) // the sixth within an hour, though the CA allows it
		require.Equal(t, 429, order(t, ca, client, "f.example.com").StatusCode)
		require.Equal(t, []string{string(client.KID) + " f.example.com"}, ca.Overdrawn())
	})
}

// TestFailureLimitForgets keeps to the limit exactly, an hour apart, and fails on an empty bucket, which takes nothing.
func TestFailureLimitForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := fakeca.New(fakeca.Config{FailureLimit: 2, FailureWindow: 10 * time.Second})
		client := ca.Client()
		for range 3 {
			fail(t, ca, client, "f.example.com", true)
			fail(t, ca, client, "f.example.com", true)
			time.Sleep(10 * time.Second)
		}
		require.Equal(t, 6, ca.Failures(client.KID, "f.example.com", true))
		require.Empty(t, ca.Overdrawn())
		for range 7 {
			fail(t, ca, client, "f.example.com", true)
		}
		require.Equal(t, 13, ca.Failures(client.KID, "f.example.com", true))
		require.Equal(t, []string{string(client.KID) + " *.f.example.com"}, ca.Overdrawn())
		require.Equal(t, "5", order(t, ca, client, "*.f.example.com").Header.Get("Retry-After"))
		time.Sleep(5 * time.Second)
		require.Equal(t, 201, order(t, ca, client, "*.f.example.com").StatusCode)
	})
}

// TestFailures has what counts as a failure and what does not.
func TestFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, tt := range []struct {
			name   string
			status string
			times  int  // deactivated
			answer bool // a challenge, before
			valid  bool // what the answer finds
			want   int
		}{
			{"pending", "pending", 1, false, false, 1},
			{"pending, again and again", "pending", 7, false, false, 1},
			{"valid", "valid", 7, false, false, 0},
			{"invalid", "invalid", 1, false, false, 0},
			{"failed", "pending", 0, true, false, 1},
			{"failed, then deactivated", "pending", 1, true, false, 1},
			{"validated, then deactivated", "pending", 1, true, true, 0},
		} {
			ca := fakeca.New(fakeca.Config{SettleAfter: time.Minute, ValidateOK: func(fakeca.Authorization, string) bool { return tt.valid }})
			client := ca.Client()
			url := ca.Add(fakeca.Authorization{Identifier: "f.example.com", Status: tt.status})
			if tt.answer {
				send(t, ca, request{url: ca.Authorization(url).Challenges[0].URL, client: client, payload: "{}"})
				require.Zero(t, ca.Failures(client.KID, "f.example.com", false), tt.name)
				time.Sleep(time.Minute)
			}
			for range tt.times {
				require.Equal(t, 200, send(t, ca, request{url: url, client: client, payload: deactivation}).StatusCode, tt.name)
			}
			require.Equal(t, tt.want, ca.Failures(client.KID, "f.example.com", false), tt.name)
		}
	})
}

// TestFailureTime counts a failed validation when it failed, not when somebody looked.
func TestFailureTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := fakeca.New(fakeca.Config{FailureLimit: 1, FailureWindow: time.Minute, SettleAfter: time.Second})
		client := ca.Client()
		for range 2 {
			url := ca.Add(fakeca.Authorization{Identifier: "f.example.com"})
			send(t, ca, request{url: ca.Authorization(url).Challenges[0].URL, client: client, payload: "{}"})
			time.Sleep(time.Minute)
		}
		require.Equal(t, "1", order(t, ca, client, "f.example.com").Header.Get("Retry-After"))
		require.Equal(t, 2, ca.Failures(client.KID, "f.example.com", false))
		require.Empty(t, ca.Overdrawn())
	})
}

// TestPendingLimit acts out what was recorded at a Boulder of 2024 with a limit of 30, here of 3.
func TestPendingLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := fakeca.New(fakeca.Config{PendingLimit: 3, ReusePending: true, SettleAfter: time.Second})
		client := ca.Client()
		first, err := client.AuthorizeOrder(t.Context(), acme.DomainIDs("a.example.com"))
		require.NoError(t, err)
		// The limit is looked at before the order is added: this one goes beyond it.
		second, err := client.AuthorizeOrder(t.Context(), acme.DomainIDs("b.example.com", "c.example.com", "d.example.com"))
		require.NoError(t, err)
		got := order(t, ca, client, "e.example.com")
		require.Equal(t, 429, got.StatusCode)
		require.Equal(t, "urn:ietf:params:acme:error:rateLimited", got.problem.Type)
		require.Equal(t, "Error creating new order :: too many currently pending authorizations: 3: see https://letsencrypt.org/docs/rate-limits/", got.problem.Detail)
		require.Empty(t, got.Header.Get("Retry-After"))
		require.Equal(t, 429, order(t, ca, client, "a.example.com", "e.example.com").StatusCode)
		require.Equal(t, 201, order(t, ca, client, "a.example.com").StatusCode)
		require.Equal(t, 201, order(t, ca, client, "a.example.com", "b.example.com").StatusCode)
		require.Equal(t, 201, order(t, ca, ca.NewAccount(), "e.example.com").StatusCode)

		require.Equal(t, 200, send(t, ca, request{url: first.AuthzURLs[0], client: client, payload: deactivation}).StatusCode)
		require.Equal(t, 429, order(t, ca, client, "e.example.com").StatusCode) // three are left
		send(t, ca, request{url: ca.Authorization(second.AuthzURLs[0]).Challenges[0].URL, client: client, payload: "{}"})
		require.Equal(t, 429, order(t, ca, client, "e.example.com").StatusCode)
		time.Sleep(time.Second) // it has failed, which frees one
		require.Equal(t, 201, order(t, ca, client, "e.example.com").StatusCode)
		require.Equal(t, 429, order(t, ca, client, "f.example.com").StatusCode)
		time.Sleep(8 * 24 * time.Hour) // all are expired
		require.Equal(t, 201, order(t, ca, client, "f.example.com").StatusCode)
	})
}

// TestRequestLimit refuses what is too much, all but the directory, and leaves the nonce of a refused request good.
func TestRequestLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := fakeca.New(fakeca.Config{RequestLimit: 2, RequestBurst: 3})
		url, client := ca.Add(fakeca.Authorization{}), ca.Client()
		kept := nonce(t, ca)
		time.Sleep(time.Minute)
		var codes []int
		get := func(path string) answer {
			t.Helper()
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
			require.NoError(t, err)
			got := do(t, ca, r)
			codes = append(codes, got.StatusCode)
			return got
		}
		for range 4 {
			get(url)
		}
		get(ca.DirectoryURL())
		got := get(ca.URL() + "/acme/new-nonce")
		require.Equal(t, "urn:ietf:params:acme:error:rateLimited", got.problem.Type)
		require.Equal(t, "1", got.Header.Get("Retry-After"))
		require.Empty(t, got.Header.Get("Replay-Nonce"))
		time.Sleep(499 * time.Millisecond)
		get(url)
		refused := send(t, ca, request{url: url, client: client, nonce: kept})
		require.Equal(t, 503, refused.StatusCode)
		require.Empty(t, refused.Header.Get("Replay-Nonce"))
		time.Sleep(time.Millisecond)
		get(url)
		get(url)
		time.Sleep(time.Second) // enough for two, the other is the new nonce that the helper always asks for
		require.Equal(t, 200, send(t, ca, request{url: url, client: client, nonce: kept}).StatusCode)
		require.Equal(t, []int{200, 200, 200, 503, 200, 503, 503, 200, 503}, codes)
	})
}

// TestBusiestSecond counts the requests of a sliding second, without a log.
func TestBusiestSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := fakeca.New(fakeca.Config{NoLog: true, Latency: time.Hour, RequestLimit: 1})
		require.Zero(t, ca.BusiestSecond())
		arrive := func(count int) {
			for range count {
				go func() {
					response, err := ca.HTTPClient().Get(ca.URL() + "/acme/new-nonce")
					if err == nil {
						_ = response.Body.Close()
					}
				}()
			}
			synctest.Wait()
		}
		for _, step := range []struct {
			after time.Duration // since the step before
			count int
			want  int
		}{
			{0, 3, 3},
			{500 * time.Millisecond, 2, 5},
			{500 * time.Millisecond, 2, 5},        // the first three are a second old
			{499 * time.Millisecond, 2, 6},        // 2, 2 and 2
			{time.Millisecond, 2, 6},              // without those of half a second
			{10 * time.Second, 6, 6},              // none of the earlier ones
			{time.Second - time.Nanosecond, 1, 7}, //
			{time.Second, 7, 7},                   //
			{time.Second, 0, 7}, {time.Second, 1000, 1000}, {time.Hour, 1, 1000},
		} {
			time.Sleep(step.after)
			arrive(step.count)
			require.Equal(t, step.want, ca.BusiestSecond(), step)
		}
		_, err := ca.HTTPClient().Get("https://stranger.example/") // does not arrive here
		require.Error(t, err)
		require.Equal(t, 1000, ca.BusiestSecond())
		require.Empty(t, ca.Requests())
		time.Sleep(2 * time.Hour)
	})
}
