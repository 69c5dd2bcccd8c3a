package authz_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/acme"

	"github.com/acmeauthz/acmeauthz/authz"
	"github.com/acmeauthz/acmeauthz/internal/fakeca"
)

// gather ranges over seq and checks that an error is its last pair.
func gather(t testing.TB, seq iter.Seq2[authz.Result, error]) ([]authz.Result, error) {
	t.Helper()
	var results []authz.Result
	var last error
	for r, err := range seq {
		require.NoError(t, last, "a pair after the error")
		if last = err; err == nil {
			results = append(results, r)
		}
	}
	return results, last
}

// one is the only result of a sequence that ends without an error.
func one(t testing.TB, seq iter.Seq2[authz.Result, error]) authz.Result {
	t.Helper()
	results, err := gather(t, seq)
	require.NoError(t, err)
	require.Len(t, results, 1)
	return results[0]
}

func all(*acme.Authorization) bool { return true }

// add makes n authorizations that are alike.
func add(ca *fakeca.CA, n int, a fakeca.Authorization) []string {
	urls := make([]string, n)
	for i := range urls {
		urls[i] = ca.Add(a)
	}
	return urls
}

// intercept answers the n-th request of a kind, counted from 1.
func intercept(kind fakeca.Kind, answer func(n int) *fakeca.Answer) func(*fakeca.Request) *fakeca.Answer {
	count := make(chan int, 1)
	count <- 0
	return func(r *fakeca.Request) *fakeca.Answer {
		if r.Kind != kind {
			return nil
		}
		n := <-count + 1
		count <- n
		return answer(n)
	}
}

// What each CA makes of a deactivation, by status before and by what Select
// accepts. The counts are the requests that it takes.
func TestDeactivate(t *testing.T) {
	type counts struct{ reads, deactivations, account int }
	for _, tt := range []struct {
		name     string
		behavior fakeca.Behavior
		in       fakeca.Authorization
		sel      func(*acme.Authorization) bool
		other    bool // the authorization of another account
		missing  bool // a URL that the CA does not know
		changed  bool
		before   string
		after    string
		errs     []error
		code     int // of the *acme.Error beneath
		counts   counts
	}{
		{name: "Boulder, pending", changed: true, before: "pending", after: "deactivated", counts: counts{1, 1, 0}},
		{name: "Boulder, pending wildcard", in: fakeca.Authorization{Wildcard: true}, changed: true, before: "pending", after: "deactivated", counts: counts{1, 1, 0}},
		{name: "Boulder, valid is not pending", in: fakeca.Authorization{Status: "valid"}, before: "valid", after: "valid", counts: counts{1, 0, 0}},
		{name: "Boulder, valid and selected", in: fakeca.Authorization{Status: "valid"}, sel: all, changed: true, before: "valid", after: "deactivated", counts: counts{1, 1, 0}},
		{name: "Boulder, invalid would be said to be deactivated", in: fakeca.Authorization{Status: "invalid"}, sel: all, before: "invalid", after: "invalid", counts: counts{1, 0, 0}},
		{name: "Boulder, deactivated already", in: fakeca.Authorization{Status: "deactivated"}, sel: all, before: "deactivated", after: "deactivated", counts: counts{1, 0, 0}},
		{name: "Boulder, revoked", in: fakeca.Authorization{Status: "revoked"}, sel: all, before: "revoked", after: "revoked", counts: counts{1, 0, 0}},
		{name: "Boulder, expired", in: fakeca.Authorization{Expires: time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)}, errs: []error{authz.ErrGone}, code: 404, counts: counts{1, 0, 0}},
		{name: "Boulder, unknown", missing: true, errs: []error{authz.ErrGone}, code: 404, counts: counts{1, 0, 0}},
		{name: "Boulder, another account's", other: true, errs: []error{authz.ErrNotOurs}, code: 403, counts: counts{1, 0, 1}},

		{name: "step-ca, pending", behavior: fakeca.StepCA, before: "pending", after: "pending", errs: []error{authz.ErrRefused}, code: 400, counts: counts{2, 1, 0}},
		{name: "step-ca, unknown", behavior: fakeca.StepCA, missing: true, errs: []error{authz.ErrGone}, code: 400, counts: counts{1, 0, 1}},
		{name: "step-ca, another account's", behavior: fakeca.StepCA, other: true, errs: []error{authz.ErrNotOurs}, code: 401, counts: counts{1, 0, 1}},

		{name: "Dogtag, pending", behavior: fakeca.Ignores, before: "pending", after: "pending", errs: []error{authz.ErrIgnored}, counts: counts{1, 1, 0}},
		{name: "Dogtag, valid", behavior: fakeca.Ignores, in: fakeca.Authorization{Status: "valid"}, sel: all, before: "valid", after: "valid", errs: []error{authz.ErrIgnored}, counts: counts{1, 1, 0}},

		{name: "OpenBao, pending", behavior: fakeca.OpenBao, changed: true, before: "pending", after: "deactivated", counts: counts{1, 1, 0}},
		{name: "OpenBao, unknown", behavior: fakeca.OpenBao, missing: true, errs: []error{authz.ErrNotOurs, authz.ErrGone}, code: 400, counts: counts{1, 0, 1}},
		{name: "OpenBao, another account's", behavior: fakeca.OpenBao, other: true, errs: []error{authz.ErrNotOurs, authz.ErrGone}, code: 400, counts: counts{1, 0, 1}},

		{name: "Pebble, pending", behavior: fakeca.Pebble, changed: true, before: "pending", after: "deactivated", counts: counts{1, 1, 0}},
		{name: "Pebble, past its expiry", behavior: fakeca.Pebble, in: fakeca.Authorization{Expires: time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)}, changed: true, before: "pending", after: "deactivated", counts: counts{1, 1, 0}},
		{name: "Pebble, unknown with an empty body", behavior: fakeca.Pebble, missing: true, errs: []error{authz.ErrGone}, code: 404, counts: counts{1, 0, 0}},
		{name: "Pebble, another account's", behavior: fakeca.Pebble, other: true, errs: []error{authz.ErrNotOurs}, code: 403, counts: counts{1, 0, 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ca := fakeca.New(fakeca.Config{Behavior: tt.behavior})
				client := ca.Client()
				url := ca.Add(tt.in)
				if tt.missing {
					url = strings.TrimRight(url, "0123456789abcdef") + "404404"
				}
				if tt.other {
					client = ca.NewAccount()
				}
				already := counts{ca.Count(fakeca.Read), ca.Count(fakeca.Deactivate), ca.Count(fakeca.Account)}
				m := &authz.Manager{Client: client, Select: tt.sel}

				r := one(t, m.Deactivate(t.Context(), authz.URLs(url)))

				require.Equal(t, url, r.URL)
				require.Equal(t, tt.changed, r.Changed)
				require.Equal(t, tt.before, r.Before)
				require.Nil(t, r.Challenge)
				if tt.after == "" {
					require.Nil(t, r.Authorization)
				} else {
					require.Equal(t, tt.after, r.Authorization.Status)
					require.Equal(t, url, r.Authorization.URI)
				}
				if tt.errs == nil {
					require.NoError(t, r.Err)
				}
				for _, want := range tt.errs {
					require.ErrorIs(t, r.Err, want)
				}
				problem, ok := errors.AsType[*acme.Error](r.Err)
				require.Equal(t, tt.code != 0, ok)
				if ok {
					require.Equal(t, tt.code, problem.StatusCode)
				}
				now := counts{ca.Count(fakeca.Read), ca.Count(fakeca.Deactivate), ca.Count(fakeca.Account)}
				require.Equal(t, tt.counts, counts{now.reads - already.reads, now.deactivations - already.deactivations, now.account - already.account})
			})
		})
	}
}

func TestDeactivateSendsExactlyTheStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := fakeca.New(fakeca.Config{})
		require.True(t, one(t, (&authz.Manager{Client: ca.Client()}).Deactivate(t.Context(), authz.URLs(ca.Add(fakeca.Authorization{})))).Changed)
		for _, r := range ca.Requests() {
			switch r.Kind {
			case fakeca.Read:
				require.Empty(t, r.Payload)
			case fakeca.Deactivate:
				require.Equal(t, `{"status":"deactivated"}`, string(r.Payload))
			}
		}
		require.Equal(t, 1, ca.Count(fakeca.Directory))
		require.Equal(t, 1, ca.Count(fakeca.Nonce))
		require.Equal(t, 0, ca.Count(fakeca.Account), "the KID is known")
	})
}

// To know a CA that refuses, one reading again is enough.
func TestDeactivateReadsAgainOnceWhereRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := fakeca.New(fakeca.Config{Behavior: fakeca.StepCA})
		urls := add(ca, 20, fakeca.Authorization{})
		results, err := gather(t, (&authz.Manager{Client: ca.Client(), Parallelism: 1}).Deactivate(t.Context(), authz.URLs(urls...)))
		require.NoError(t, err)
		for _, r := range results {
			require.ErrorIs(t, r.Err, authz.ErrRefused)
			require.Equal(t, "pending", r.Authorization.Status)
		}
		require.Equal(t, 21, ca.Count(fakeca.Read))
	})
}

// A refusal because another client was faster is none.
func TestDeactivateAfterAnotherClientDid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ca *fakeca.CA
		ca = fakeca.New(fakeca.Config{Behavior: fakeca.OpenBao, Intercept: func(r *fakeca.Request) *fakeca.Answer {
			if r.Kind == fakeca.Deactivate {
				ca.SetStatus(r.URL, "deactivated")
			}
			return nil
		}})
		r := one(t, (&authz.Manager{Client: ca.Client()}).Deactivate(t.Context(), authz.URLs(ca.Add(fakeca.Authorization{}))))
		require.NoError(t, r.Err)
		require.False(t, r.Changed)
		require.Equal(t, "deactivated", r.Authorization.Status)
	})
}

func TestListKeepsTheOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := fakeca.New(fakeca.Config{Latency: 50 * time.Millisecond, BadNonceEvery: 7})
		var urls []string
		for i := range 300 {
			urls = append(urls, ca.Add(fakeca.Authorization{Identifier: fmt.Sprintf("%d.example", i), Wildcard: i%3 == 0}))
		}
		results, err := gather(t, (&authz.Manager{Client: ca.Client(), Parallelism: 16}).List(t.Context(), authz.URLs(urls...)))
		require.NoError(t, err)
		require.Len(t, results, 300)
		for i, r := range results {
			require.Equal(t, urls[i], r.URL)
			require.NoError(t, r.Err)
			require.Equal(t, acme.AuthzID{Type: "dns", Value: fmt.Sprintf("%d.example", i)}, r.Authorization.Identifier)
			require.Equal(t, i%3 == 0, r.Authorization.Wildcard)
			require.False(t, r.Changed)
		}
		require.LessOrEqual(t, ca.MaxInFlight(), 16)
		require.Zero(t, ca.Count(fakeca.Deactivate)+ca.Count(fakeca.AnswerChallenge)+ca.Count(fakeca.ReadChallenge))
	})
}

func TestForeignURLsAreNotRequested(t *testing.T) {
	foreign := []string{
		"https://evil.example/acme/authz/1/2",
		"http://ca.test/acme/authz/1/2",
		"https://ca.test.evil.example/acme/authz/1/2",
		"https://ca.test@evil.example/acme/authz/1/2",
		"https://ca.test:444/acme/authz/1/2",
		"/acme/authz/1/2",
		"",
	}
	synctest.Test(t, func(t *testing.T) {
		ca := fakeca.New(fakeca.Config{})
		ours := ca.Add(fakeca.Authorization{})
		m := &authz.Manager{Client: ca.Client()}
		for name, do := range map[string]func(context.Context, iter.Seq2[string, error]) iter.Seq2[authz.Result, error]{
			"List": m.List, "Deactivate": m.Deactivate, "Validate": m.Validate,
		} {
			before := ca.Total()
			results, err := gather(t, do(t.Context(), authz.URLs(foreign...)))
			require.NoError(t, err, name)
			for i, r := range results {
				require.Equal(t, foreign[i], r.URL)
				require.ErrorIs(t, r.Err, authz.ErrForeign)
			}
			require.Len(t, results, len(foreign))
			require.Equal(t, before+1, ca.Total(), "only the directory")
		}
		results, err := gather(t, m.Deactivate(t.Context(), authz.URLs(foreign[0], ours)))
		require.NoError(t, err)
		require.ErrorIs(t, results[0].Err, authz.ErrForeign)
		require.True(t, results[1].Changed)
		for _, r := range ca.Requests() {
			require.True(t, strings.HasPrefix(r.URL, "https://ca.test/"), r.URL)
		}
	})
}

func TestAllowHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := fakeca.New(fakeca.Config{})
		m := &authz.Manager{Client: ca.Client(), AllowHost: func(host string) bool { return host == "other.test" }}
		r := one(t, m.List(t.Context(), authz.URLs("https://other.test/acme/authz/1/2")))
		require.NotErrorIs(t, r.Err, authz.ErrForeign)
		require.Equal(t, "https://other.test/acme/authz/1/2", ca.Requests()[ca.Total()-1].URL)
	})
}

// Another origin never sees a request, whatever the CA's answers say.
func TestNoRedirectAndNoForeignChallenge(t *testing.T) {
	redirect := func(kind fakeca.Kind) func(*fakeca.Request) *fakeca.Answer {
		return intercept(kind, func(int) *fakeca.Answer {
			return &fakeca.Answer{Status: http.StatusPermanentRedirect, Header: http.Header{"Location": {"https://evil.example/"}}}
		})
	}
	body := func(status, challenge string) []byte {
		return fmt.Appendf(nil, `{"identifier":{"type":"dns","value":"a.example"},"status":%q,"challenges":[{"type":"dns-01","status":"pending","url":%q}]}`, status, challenge)
	}
	for _, tt := range []struct {
		name      string
		intercept func(*fakeca.Request) *fakeca.Answer
		sequence  bool // the error ends the sequence
		want      string
	}{
		{name: "the directory redirects", intercept: redirect(fakeca.Directory), sequence: true, want: "redirects to https://evil.example/"},
		{name: "newNonce redirects", intercept: redirect(fakeca.Nonce), want: "redirects to https://evil.example/"},
		{name: "the authorization redirects", intercept: redirect(fakeca.Read), want: "308"},
		{name: "the challenge is elsewhere", want: authz.ErrForeign.Error(), intercept: intercept(fakeca.Read, func(int) *fakeca.Answer {
			return &fakeca.Answer{Body: body("pending", "https://evil.example/chall/1")}
		})},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ca := fakeca.New(fakeca.Config{Intercept: tt.intercept})
				results, err := gather(t, (&authz.Manager{Client: ca.Client()}).Validate(t.Context(), authz.URLs(ca.Add(fakeca.Authorization{}))))
				if !tt.sequence {
					require.NoError(t, err)
					err = results[0].Err
				}
				require.ErrorContains(t, err, tt.want)
				for _, r := range ca.Requests() {
					require.True(t, strings.HasPrefix(r.URL, "https://ca.test/"), r.URL)
				}
			})
		})
	}
}

// An account that the CA rejects is one error, not one for each URL.
func TestErrAccount(t *testing.T) {
	for _, behavior := range []fakeca.Behavior{fakeca.Boulder, fakeca.StepCA, fakeca.Ignores, fakeca.OpenBao, fakeca.Pebble} {
		for name, spoil := range map[string]func(*fakeca.CA, *acme.Client){
			"deactivated":  func(ca *fakeca.CA, c *acme.Client) { ca.DeactivateAccount(c) },
			"unknown":      func(_ *fakeca.CA, c *acme.Client) { c.KID += "404" },
			"another key":  func(ca *fakeca.CA, c *acme.Client) { c.Key = ca.NewAccount().Key },
			"looked up":    func(ca *fakeca.CA, c *acme.Client) { ca.DeactivateAccount(c); c.KID = "" },
			"never there":  func(ca *fakeca.CA, c *acme.Client) { c.Key = fakeca.New(fakeca.Config{}).Client().Key; c.KID = "" },
			"half through": nil,
		} {
			t.Run(fmt.Sprint(name, behavior), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					ca := fakeca.New(fakeca.Config{Behavior: behavior, Latency: time.Second})
					urls := add(ca, 2000, fakeca.Authorization{})
					client := ca.Client()
					want := 0
					if spoil != nil {
						spoil(ca, client)
					} else {
						time.AfterFunc(time.Minute, func() { ca.DeactivateAccount(client) })
						want = 100 // a minute with 8 workers and a second each
					}
					before := ca.Total()
					results, err := gather(t, (&authz.Manager{Client: client, Parallelism: 8}).List(t.Context(), authz.URLs(urls...)))
					require.ErrorIs(t, err, authz.ErrAccount)
					problem, ok := errors.AsType[*acme.Error](err)
					if ok {
						require.Contains(t, []int{400, 401, 403}, problem.StatusCode)
					} else {
						require.ErrorIs(t, err, acme.ErrNoAccount)
					}
					require.GreaterOrEqual(t, len(results), want)
					require.Less(t, len(results), 8*70)
					for _, r := range results {
						require.NoError(t, r.Err)
					}
					if want == 0 {
						require.Empty(t, results)
						require.Less(t, ca.Total()-before, 60)
					}
				})
			})
		}
	}
}

func TestKIDIsLookedUpOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := fakeca.New(fakeca.Config{})
		urls := add(ca, 50, fakeca.Authorization{})
		client := ca.Client()
		client.KID = ""
		results, err := gather(t, (&authz.Manager{Client: client}).Deactivate(t.Context(), authz.URLs(urls...)))
		require.NoError(t, err)
		require.Len(t, results, 50)
		for _, r := range results {
			require.True(t, r.Changed)
		}
		require.Equal(t, 1, ca.Count(fakeca.Account))
		require.Empty(t, client.KID, "the caller's client is not changed")
	})
}

func TestSequenceErrors(t *testing.T) {
	good := func() *acme.Client { return fakeca.New(fakeca.Config{}).Client() }
	for _, tt := range []struct {
		name   string
		change func(*acme.Client)
		want   string
	}{
		{"no key", func(c *acme.Client) { c.Key = nil }, "authz: Manager.Client has no Key"},
		{"no directory is not Let's Encrypt", func(c *acme.Client) { c.DirectoryURL = "" }, `authz: Manager.Client.DirectoryURL: authz: "" is not an absolute URL`},
		{"a directory without TLS", func(c *acme.Client) { c.DirectoryURL = "http://ca.test/directory" }, `authz: Manager.Client.DirectoryURL: authz: "http://ca.test/directory" is not https`},
		{"no directory there", func(c *acme.Client) { c.DirectoryURL = "https://ca.test/nothing" }, "authz: read directory https://ca.test/nothing: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := good()
				tt.change(client)
				results, err := gather(t, (&authz.Manager{Client: client}).List(t.Context(), authz.URLs("https://ca.test/acme/authz/1/2")))
				require.ErrorContains(t, err, tt.want)
				require.Empty(t, results)
			})
		})
	}
	t.Run("no client", func(t *testing.T) {
		_, err := gather(t, (&authz.Manager{}).List(t.Context(), authz.URLs()))
		require.EqualError(t, err, "authz: Manager.Client has no Key")
	})
	t.Run("the source's", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ca := fakeca.New(fakeca.Config{})
			url := ca.Add(fakeca.Authorization{})
			source := func(yield func(string, error) bool) {
				_ = yield(url, nil) && yield("", errors.New("disk gone"))
			}
			results, err := gather(t, (&authz.Manager{Client: ca.Client()}).Deactivate(t.Context(), source))
			require.EqualError(t, err, "disk gone")
			require.True(t, results[0].Changed)
		})
	})
}

func TestContextEndsTheSequence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := fakeca.New(fakeca.Config{Latency: time.Second, Intercept: func(r *fakeca.Request) *fakeca.Answer {
			if r.Number > 100 {
				return &fakeca.Answer{Hang: true}
			}
			return nil
		}})
		urls := add(ca, 1000, fakeca.Authorization{})
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(40*time.Second, cancel)
		started := time.Now()
		results, err := gather(t, (&authz.Manager{Client: ca.Client(), Parallelism: 8}).Deactivate(ctx, authz.URLs(urls...)))
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, 40*time.Second, time.Since(started))
		for i, r := range results {
			require.Equal(t, urls[i], r.URL)
			require.Equal(t, r.Changed, ca.Authorization(r.URL).Status == "deactivated")
			require.Equal(t, r.Err == nil, r.Changed)
		}
		require.Greater(t, len(results), 30)
	})
}

// A CA that has gone silent is one error after a minute, not one for each URL;
// a short silence is waited out.
func TestErrUnreachable(t *testing.T) {
	for name, silent := range map[string]*fakeca.Answer{"resets": {Reset: true}, "nothing": {Hang: true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ca := fakeca.New(fakeca.Config{Latency: time.Second, Intercept: func(r *fakeca.Request) *fakeca.Answer {
					if r.Number > 100 {
						return silent
					}
					return nil
				}})
				urls := add(ca, 10_000, fakeca.Authorization{})
				started := time.Now()
				results, err := gather(t, (&authz.Manager{Client: ca.Client(), Parallelism: 8}).Deactivate(t.Context(), authz.URLs(urls...)))
				require.ErrorIs(t, err, authz.ErrUnreachable)
				require.Less(t, time.Since(started), 3*time.Minute)
				require.Less(t, len(results), 1000)
				for _, r := range results {
					require.Equal(t, r.Changed, ca.Authorization(r.URL).Status == "deactivated")
				}
			})
		})
	}
	t.Run("a restart", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			started := time.Now()
			ca := fakeca.New(fakeca.Config{Latency: time.Second, Intercept: func(*fakeca.Request) *fakeca.Answer {
				if down := time.Since(started); down > 20*time.Second && down < 24*time.Second {
					return &fakeca.Answer{Reset: true}
				}
				return nil
			}})
			urls := add(ca, 200, fakeca.Authorization{})
			results, err := gather(t, (&authz.Manager{Client: ca.Client(), Parallelism: 8}).Deactivate(t.Context(), authz.URLs(urls...)))
			require.NoError(t, err)
			for _, r := range results {
				require.True(t, r.Changed, r.Err)
			}
		})
	})
}

// Deactivating an account looks the same as deactivating an authorization
// (RFC 8555 §7.3.6), so the account's URL in a log must not get that far.
func TestTheAccountIsNotDeactivated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := fakeca.New(fakeca.Config{})
		client, url := ca.Client(), ca.Add(fakeca.Authorization{})
		kid := string(client.KID)
		m := &authz.Manager{Client: client, Select: all}
		results, err := gather(t, m.Deactivate(t.Context(), authz.URLs(kid, strings.Replace(kid, "https://ca.test", "https://CA.test:443", 1), url)))
		require.NoError(t, err)
		require.ErrorIs(t, results[0].Err, authz.ErrNotAuthorization)
		require.ErrorIs(t, results[1].Err, authz.ErrNotAuthorization)
		require.True(t, results[2].Changed, "the account is still good")
		require.Equal(t, 1, ca.Count(fakeca.Deactivate))
	})
}

func TestOrdersAndChallengesAreNotAuthorizations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := fakeca.New(fakeca.Config{})
		client := ca.Client()
		order, err := client.AuthorizeOrder(t.Context(), acme.DomainIDs("a.example"))
		require.NoError(t, err)
		challenge := ca.Authorization(order.AuthzURLs[0]).Challenges[0].URL
		results, err := gather(t, (&authz.Manager{Client: client, Select: all}).Deactivate(t.Context(), authz.URLs(order.URI, challenge)))
		require.NoError(t, err)
		for _, r := range results {
			require.ErrorIs(t, r.Err, authz.ErrNotAuthorization, r.URL)
			require.False(t, r.Changed)
		}
		require.Zero(t, ca.Count(fakeca.Deactivate))
	})
}

// Boulder answers a foreign kid with 400 malformed, as it does a wrong id.
func TestKIDOfAnotherCA(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := fakeca.New(fakeca.Config{})
		client, url := ca.Client(), ca.Add(fakeca.Authorization{})
		client.KID = "https://staging.test/acme/acct/1"
		results, err := gather(t, (&authz.Manager{Client: client}).List(t.Context(), authz.URLs(url)))
		require.ErrorIs(t, err, authz.ErrAccount)
		require.Empty(t, results)
		require.Equal(t, 1, ca.Total(), "only the directory")
	})
}

// A valid authorization whose deactivation has no clear outcome is not done.
func TestDeactivateValidWithoutAClearAnswer(t *testing.T) {
	for name, answer := range map[string]*fakeca.Answer{"204": {Status: 204}, "500": {Status: 500}, "reset": {Reset: true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ca := fakeca.New(fakeca.Config{Intercept: first(always, fakeca.Deactivate, answer)})
				r := one(t, (&authz.Manager{Client: ca.Client(), Select: all}).Deactivate(t.Context(), authz.URLs(ca.Add(fakeca.Authorization{Status: "valid"}))))
				require.Error(t, r.Err)
				require.False(t, r.Changed)
				require.Equal(t, 3, ca.Count(fakeca.Deactivate))
			})
		})
	}
	t.Run("became valid meanwhile", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var ca *fakeca.CA
			ca = fakeca.New(fakeca.Config{Intercept: func(r *fakeca.Request) *fakeca.Answer {
				if r.Kind != fakeca.Deactivate {
					return nil
				}
				ca.SetStatus(r.URL, "valid")
				return &fakeca.Answer{Reset: true}
			}})
			r := one(t, (&authz.Manager{Client: ca.Client()}).Deactivate(t.Context(), authz.URLs(ca.Add(fakeca.Authorization{}))))
			require.NoError(t, r.Err)
			require.False(t, r.Changed)
			require.Equal(t, "valid", r.Authorization.Status)
			require.Equal(t, 1, ca.Count(fakeca.Deactivate), "never a valid one by accident")
		})
	})
}

func TestBreakStopsTheWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := fakeca.New(fakeca.Config{Latency: time.Second})
		urls := add(ca, 1000, fakeca.Authorization{})
		for range (&authz.Manager{Client: ca.Client(), Parallelism: 8}).List(t.Context(), authz.URLs(urls...)) {
			break
		}
		require.Less(t, ca.Count(fakeca.Read), 50)
	})
}

// The caller's client serves as a source of settings only.
func TestTheClientIsNotChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := fakeca.New(fakeca.Config{})
		client := ca.Client()
		client.HTTPClient = &http.Client{Transport: ca.Transport()}
		client.UserAgent = "fleet/7"
		key, kid, httpClient := client.Key, client.KID, *client.HTTPClient
		require.True(t, one(t, (&authz.Manager{Client: client}).Deactivate(t.Context(), authz.URLs(ca.Add(fakeca.Authorization{})))).Changed)
		require.Same(t, key, client.Key)
		require.Equal(t, kid, client.KID)
		require.Equal(t, httpClient.Transport, client.HTTPClient.Transport)
		require.Nil(t, client.HTTPClient.CheckRedirect)
		require.Zero(t, client.HTTPClient.Timeout)
		for _, r := range ca.Requests() {
			want := "fleet/7 acmeauthz/0.1"
			if r.Kind == fakeca.Directory {
				want += " golang.org/x/crypto/acme" // which reads it
			}
			require.True(t, strings.HasPrefix(r.UserAgent, want), r.UserAgent)
		}
	})
}
