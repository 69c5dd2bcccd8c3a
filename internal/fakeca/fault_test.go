package fakeca_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/acme"

	"github.com/acmeauthz/acmeauthz/internal/fakeca"
)

// newKey makes a key nobody registered.
func newKey() crypto.Signer {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err) // never
	}
	return key
}

// TestFaults breaks answers, in memory and over TCP, and looks at what became of the authorization.
func TestFaults(t *testing.T) {
	for _, tt := range []struct {
		name   string
		fault  fakeca.Answer
		status int    // answered
		body   string // of the answer, as far as it came
		err    error  // of the request or of its body
		then   string // status of the authorization
	}{
		{"refused", *fakeca.Problem(429, "rateLimited", "slow down"), 429,
			`{"type":"urn:ietf:params:acme:error:rateLimited","detail":"slow down","status":429}`, nil, "pending"},
		{"done but 500", fakeca.Answer{Status: 500, After: true}, 500, "", nil, "deactivated"},
		{"done but 204", fakeca.Answer{Status: 204, After: true}, 204, "", nil, "deactivated"},
		{"reset", fakeca.Answer{Reset: true}, 0, "", syscall.ECONNRESET, "pending"},
		{"done but reset", fakeca.Answer{Reset: true, After: true}, 0, "", syscall.ECONNRESET, "deactivated"},
		{"done but cut", fakeca.Answer{Truncate: 5, After: true}, 200, `{"ide`, io.ErrUnexpectedEOF, "deactivated"},
		{"cut to nothing", fakeca.Answer{Body: []byte("{}"), Truncate: -1}, 200, "", io.ErrUnexpectedEOF, "pending"},
		{"hangs", fakeca.Answer{Hang: true}, 0, "", context.DeadlineExceeded, "pending"},
		{"late", fakeca.Answer{Delay: time.Hour}, 0, "", context.DeadlineExceeded, "pending"},
		{"empty", fakeca.Answer{}, 200, "", nil, "pending"},
	} {
		for _, network := range []string{"memory", "TCP"} {
			t.Run(tt.name+" "+network, func(t *testing.T) {
				ca := fakeca.New(fakeca.Config{Intercept: func(r *fakeca.Request) *fakeca.Answer {
					if r.Kind != fakeca.Deactivate {
						return nil
					}
					return &tt.fault
				}})
				if network == "TCP" {
					ca.Start(t)
				}
				url := ca.Add(fakeca.Authorization{})
				ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
				defer cancel()
				status, body, err := deactivate(t, ctx, ca, url)
				require.ErrorIs(t, err, tt.err)
				require.Equal(t, tt.status, status)
				require.Equal(t, tt.body, body)
				require.Equal(t, tt.then, ca.Authorization(url).Status)
				require.Equal(t, 1, ca.Count(fakeca.Deactivate))
			})
		}
	}
}

// deactivate sends a deactivation and returns what of the answer arrived.
func deactivate(t *testing.T, ctx context.Context, ca *fakeca.CA, url string) (int, string, error) {
	t.Helper()
	body := sign(t, ca, request{url: url, client: ca.Client(), payload: deactivation})
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/jose+json")
	response, err := ca.HTTPClient().Do(r)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = response.Body.Close() }()
	got, err := io.ReadAll(response.Body)
	return response.StatusCode, string(got), err
}

// TestNonces takes each nonce once and hands out no more than the limit.
func TestNonces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := fakeca.New(fakeca.Config{NonceLimit: 20, NonceBurst: 10})
		url := ca.Add(fakeca.Authorization{})
		first := nonce(t, ca)
		var codes []int
		for range 2 {
			codes = append(codes, send(t, ca, request{url: url, client: ca.Client(), nonce: first}).StatusCode)
		}
		codes = append(codes, send(t, ca, request{url: url, client: ca.Client()}).StatusCode)
		require.Equal(t, []int{200, 400, 200}, codes) // used twice; another

		time.Sleep(time.Minute)
		codes = codes[:0]
		for range 12 {
			response, err := ca.HTTPClient().Head(ca.URL() + "/acme/new-nonce")
			require.NoError(t, err)
			codes = append(codes, response.StatusCode)
			if response.StatusCode != http.StatusOK {
				require.Equal(t, "1", response.Header.Get("Retry-After"))
			}
			require.NoError(t, response.Body.Close())
		}
		require.Equal(t, []int{200, 200, 200, 200, 200, 200, 200, 200, 200, 200, 503, 503}, codes)
	})
}

// TestBadNonces refuses one of every three good nonces, and not always the same one of them.
func TestBadNonces(t *testing.T) {
	ca := fakeca.New(fakeca.Config{BadNonceEvery: 3})
	url := ca.Add(fakeca.Authorization{})
	places := map[int]bool{}
	for range 100 {
		refused := 0
		for place := range 3 {
			if send(t, ca, request{url: url, client: ca.Client()}).StatusCode == http.StatusBadRequest {
				refused++
				places[place] = true
			}
		}
		require.Equal(t, 1, refused)
	}
	require.Len(t, places, 3)
}

// TestLog has every request in it, with what became of it.
func TestLog(t *testing.T) {
	ca := fakeca.New(fakeca.Config{})
	url, client := ca.Add(fakeca.Authorization{}), ca.Client()
	send(t, ca, request{url: url, client: client, payload: deactivation})
	_, err := ca.HTTPClient().Get("https://stranger.example/acme/authz/1/2")
	require.ErrorContains(t, err, "no such host")
	requests := ca.Requests()
	require.Len(t, requests, 4)
	require.Equal(t, []fakeca.Kind{fakeca.Directory, fakeca.Nonce, fakeca.Deactivate, fakeca.Other},
		[]fakeca.Kind{requests[0].Kind, requests[1].Kind, requests[2].Kind, requests[3].Kind})
	sent := requests[2]
	require.Equal(t, 3, sent.Number)
	require.Equal(t, http.MethodPost, sent.Method)
	require.Equal(t, url, sent.URL)
	require.Equal(t, deactivation, string(sent.Payload))
	require.Equal(t, client.KID, sent.KID)
	require.Equal(t, "test", sent.UserAgent)
	require.Equal(t, http.StatusOK, sent.Status)
	require.Equal(t, "https://stranger.example/acme/authz/1/2", requests[3].URL)
	require.Zero(t, requests[3].Status)
	require.Equal(t, 4, ca.Total())

	silent := fakeca.New(fakeca.Config{NoLog: true})
	send(t, silent, request{url: silent.Add(fakeca.Authorization{}), client: silent.Client()})
	require.Empty(t, silent.Requests())
	require.Equal(t, 1, silent.Count(fakeca.Read))
}

// TestValidateOK makes challenges succeed, at once and after a while.
func TestValidateOK(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for behavior, at := range map[fakeca.Behavior]struct{ once, later string }{
			fakeca.Boulder: {"pending", "valid"}, fakeca.StepCA: {"valid", "valid"}, fakeca.Ignores: {"pending", "valid"},
			fakeca.OpenBao: {"pending", "valid"}, fakeca.Pebble: {"pending", "valid"},
		} {
			var asked string
			ca := fakeca.New(fakeca.Config{Behavior: behavior, SettleAfter: time.Minute, ValidateOK: func(a fakeca.Authorization, kind string) bool {
				asked = a.Identifier + " " + kind
				return true
			}})
			url := ca.Add(fakeca.Authorization{Identifier: "a.example.com", Challenges: []fakeca.Challenge{{Type: "dns-01"}}})
			send(t, ca, request{url: ca.Authorization(url).Challenges[0].URL, client: ca.Client(), payload: "{}"})
			require.Equal(t, "a.example.com dns-01", asked)
			require.Equal(t, at.once, send(t, ca, request{url: url, client: ca.Client()}).object.Status, names[behavior])
			time.Sleep(time.Minute)
			require.Equal(t, at.later, send(t, ca, request{url: url, client: ca.Client()}).object.Status, names[behavior])
			require.Equal(t, 1, ca.Authorization(url).Challenges[0].Count)
		}
	})
}

// TestRace deactivates while a validation runs: it wins at Boulder and OpenBao until the validation is done; later, Boulder
// still says so, wrongly.
func TestRace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, tt := range []struct {
			behavior fakeca.Behavior
			wait     time.Duration
			code     int
			says, is string
		}{
			{fakeca.Boulder, time.Second, 200, "deactivated", "deactivated"},
			{fakeca.Boulder, time.Minute, 200, "deactivated", "invalid"},
			{fakeca.OpenBao, time.Second, 200, "deactivated", "deactivated"},
			{fakeca.OpenBao, time.Minute, 400, "", "invalid"},
		} {
			ca := fakeca.New(fakeca.Config{Behavior: tt.behavior, SettleAfter: time.Minute})
			url := ca.Add(fakeca.Authorization{})
			send(t, ca, request{url: ca.Authorization(url).Challenges[0].URL, client: ca.Client(), payload: "{}"})
			time.Sleep(tt.wait)
			got := send(t, ca, request{url: url, client: ca.Client(), payload: deactivation})
			require.Equal(t, tt.code, got.StatusCode)
			require.Equal(t, tt.says, got.object.Status)
			time.Sleep(time.Hour)
			require.Equal(t, tt.is, ca.Authorization(url).Status)
		}
	})
}

// TestLockUp acts out the ways in which Pebble stops to answer.
func TestLockUp(t *testing.T) {
	for _, tt := range []struct {
		name  string
		steps []string // deactivate, answer <n-th challenge>, read, wait
	}{
		{"deactivated during validation", []string{"answer 0", "deactivate", "wait", "read"}},
		{"answered after deactivation", []string{"deactivate", "answer 0"}},
		{"another answer after a failed one", []string{"answer 0", "wait", "read", "answer 1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ca := fakeca.New(fakeca.Config{Behavior: fakeca.Pebble, SettleAfter: time.Second, LockUp: true})
				url := ca.Add(fakeca.Authorization{})
				for i, step := range tt.steps {
					err := take(t, ca, url, step)
					if i < len(tt.steps)-1 {
						require.NoError(t, err, step)
					} else {
						require.ErrorIs(t, err, context.DeadlineExceeded, step)
					}
				}
				require.ErrorIs(t, take(t, ca, url, "read"), context.DeadlineExceeded)
			})
		})
	}
}

// take does one step of TestLockUp.
func take(t *testing.T, ca *fakeca.CA, url, step string) error {
	t.Helper()
	r := request{url: url, client: ca.Client()}
	switch step {
	case "wait":
		time.Sleep(time.Minute)
		return nil
	case "deactivate":
		r.payload = deactivation
	case "answer 0", "answer 1":
		r.url, r.payload = ca.Authorization(url).Challenges[step[7]-'0'].URL, "{}"
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	httpRequest, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url, strings.NewReader(sign(t, ca, r)))
	require.NoError(t, err)
	httpRequest.Header.Set("Content-Type", "application/jose+json")
	response, err := ca.HTTPClient().Do(httpRequest)
	if err == nil {
		err = response.Body.Close()
	}
	return err
}

// TestSetStatus changes an authorization behind a client's back.
func TestSetStatus(t *testing.T) {
	ca := fakeca.New(fakeca.Config{})
	url := ca.Add(fakeca.Authorization{})
	ca.SetStatus(url, acme.StatusRevoked)
	require.Equal(t, acme.StatusRevoked, send(t, ca, request{url: url, client: ca.Client()}).object.Status)
}

// BenchmarkRead is the cost of a signed request in memory, the client's share included.
func BenchmarkRead(b *testing.B) {
	for name, config := range map[string]fakeca.Config{
		"verified": {NoLog: true}, "signature skipped": {NoLog: true, SkipSignature: true},
	} {
		b.Run(name, func(b *testing.B) {
			ca := fakeca.New(config)
			url, client := ca.Add(fakeca.Authorization{}), ca.Client()
			_, err := client.GetAuthorization(b.Context(), url)
			require.NoError(b, err)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := client.GetAuthorization(b.Context(), url); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
