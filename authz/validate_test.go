package authz_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/acme"

	"github.com/acmeauthz/acmeauthz/authz"
	"github.com/acmeauthz/acmeauthz/internal/fakeca"
)

func challenges(types ...string) []fakeca.Challenge {
	cs := make([]fakeca.Challenge, 0, len(types))
	for _, kind := range types {
		cs = append(cs, fakeca.Challenge{Type: kind})
	}
	return cs
}

// Without a Solve, a challenge is answered so that the CA settles it.
func TestValidateWithoutSolve(t *testing.T) {
	for _, tt := range []struct {
		name      string
		config    fakeca.Config
		in        fakeca.Authorization
		answered  string // challenge type
		changed   bool
		after     string
		err       error
		problem   bool // the challenge has the CA's problem
		min, max  time.Duration
		answers   int
		waitLimit time.Duration
	}{
		{name: "Boulder, at once", answered: "dns-01", changed: true, after: "invalid", problem: true, answers: 1, min: 250 * time.Millisecond, max: 250 * time.Millisecond},
		{name: "Boulder, in a while", config: fakeca.Config{SettleAfter: 5 * time.Second}, answered: "dns-01", changed: true, after: "invalid", problem: true, answers: 1, min: 5 * time.Second, max: 8 * time.Second},
		{name: "Boulder, an old token still stands", config: fakeca.Config{ValidateOK: func(fakeca.Authorization, string) bool { return true }}, answered: "dns-01", changed: true, after: "valid", answers: 1, max: time.Second},
		{name: "Boulder, too slow", config: fakeca.Config{SettleAfter: time.Hour}, answered: "dns-01", after: "pending", err: authz.ErrPending, answers: 1, min: 2 * time.Minute, max: 3 * time.Minute},
		{name: "Boulder, less patience", config: fakeca.Config{SettleAfter: time.Hour}, waitLimit: 10 * time.Second, answered: "dns-01", after: "pending", err: authz.ErrPending, answers: 1, min: 5 * time.Second, max: 10 * time.Second},
		{name: "OpenBao tries for 105 s", config: fakeca.Config{Behavior: fakeca.OpenBao, SettleAfter: 105 * time.Second}, answered: "dns-01", changed: true, after: "invalid", problem: true, answers: 1, min: 105 * time.Second, max: 116 * time.Second},
		{name: "Pebble", config: fakeca.Config{Behavior: fakeca.Pebble, SettleAfter: 3 * time.Second}, answered: "dns-01", changed: true, after: "invalid", problem: true, answers: 1, min: 3 * time.Second, max: 8 * time.Second},
		{name: "step-ca leaves it pending", config: fakeca.Config{Behavior: fakeca.StepCA}, answered: "dns-01", after: "pending", err: authz.ErrPending, problem: true, answers: 1, max: time.Second},

		{name: "http-01 comes second", in: fakeca.Authorization{Challenges: challenges("odd-07", "tls-alpn-01", "http-01")}, answered: "http-01", changed: true, after: "invalid", problem: true, answers: 1, max: time.Second},
		{name: "tls-alpn-01 third", in: fakeca.Authorization{Challenges: challenges("odd-07", "tls-alpn-01")}, answered: "tls-alpn-01", changed: true, after: "invalid", problem: true, answers: 1, max: time.Second},
		{name: "then what is there", in: fakeca.Authorization{Challenges: challenges("odd-07")}, answered: "odd-07", changed: true, after: "invalid", problem: true, answers: 1, max: time.Second},
		{name: "a wildcard has dns-01 alone", in: fakeca.Authorization{Wildcard: true}, answered: "dns-01", changed: true, after: "invalid", problem: true, answers: 1, max: time.Second},
		{name: "no challenge at all", in: fakeca.Authorization{Challenges: challenges()}, after: "pending", err: authz.ErrNoChallenge},
		{name: "no open challenge", in: fakeca.Authorization{Challenges: []fakeca.Challenge{{Type: "dns-01", Status: "invalid"}}}, after: "pending", err: authz.ErrNoChallenge},
		{name: "valid already", in: fakeca.Authorization{Status: "valid"}, after: "valid"},
		{name: "deactivated already", in: fakeca.Authorization{Status: "deactivated"}, after: "deactivated"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ca := fakeca.New(tt.config)
				client, url := ca.Client(), ca.Add(tt.in)
				started := time.Now()
				r := one(t, (&authz.Manager{Client: client, Select: all, WaitLimit: tt.waitLimit}).Validate(t.Context(), authz.URLs(url)))
				took := time.Since(started)

				require.Equal(t, tt.changed, r.Changed, r.Err)
				require.Equal(t, tt.after, r.Authorization.Status)
				if tt.err == nil {
					require.NoError(t, r.Err)
				} else {
					require.ErrorIs(t, r.Err, tt.err)
				}
				require.Equal(t, tt.answered != "", r.Challenge != nil)
				if r.Challenge != nil {
					require.Equal(t, tt.answered, r.Challenge.Type)
					require.Equal(t, tt.problem, r.Challenge.Error != nil)
				}
				if pending, ok := errors.AsType[*authz.PendingError](r.Err); ok {
					require.Equal(t, tt.problem, pending.Err != nil)
				}
				require.GreaterOrEqual(t, took, tt.min)
				require.LessOrEqual(t, took, tt.max)
				require.Equal(t, tt.answers, ca.Count(fakeca.AnswerChallenge))
				require.Zero(t, ca.Count(fakeca.ReadChallenge), "reading a challenge answers it on step-ca")
				require.Zero(t, ca.Count(fakeca.Deactivate))
				for _, req := range ca.Requests() {
					if req.Kind == fakeca.AnswerChallenge {
						require.Equal(t, "{}", string(req.Payload))
					}
				}
			})
		})
	}
}

// Waiting ends whatever the authorization becomes, and however odd the CA's
// wish for a pause is.
func TestWaitingEnds(t *testing.T) {
	for _, status := range []string{"deactivated", "expired", "revoked", "paused"} {
		t.Run(status, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ca := fakeca.New(fakeca.Config{SettleAfter: time.Hour})
				client, url := ca.Client(), ca.Add(fakeca.Authorization{})
				time.AfterFunc(20*time.Second, func() { ca.SetStatus(url, status) })
				started := time.Now()
				r := one(t, (&authz.Manager{Client: client}).Validate(t.Context(), authz.URLs(url)))
				require.Less(t, time.Since(started), 31*time.Second)
				require.NoError(t, r.Err)
				require.False(t, r.Changed)
				require.Equal(t, status, r.Authorization.Status)
			})
		})
	}
	for _, tt := range []struct {
		retryAfter string
		reads      int // at most, and half of it at least
		retryAt    bool
	}{
		{"5", 37, true},
		{"Fri, 31 Dec 1999 00:00:00 GMT", 34, false},
		{"0", 34, false},
		{"86400", 3, true}, // ZeroSSL, while it is processing
	} {
		t.Run("Retry-After "+tt.retryAfter, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ca := fakeca.New(fakeca.Config{SettleAfter: time.Hour, Intercept: func(r *fakeca.Request) *fakeca.Answer {
					if r.Kind == fakeca.Read {
						return &fakeca.Answer{After: true, Header: header("Retry-After", tt.retryAfter)}
					}
					return nil
				}})
				started := time.Now()
				r := one(t, (&authz.Manager{Client: ca.Client()}).Validate(t.Context(), authz.URLs(ca.Add(fakeca.Authorization{}))))
				require.ErrorIs(t, r.Err, authz.ErrPending)
				pending, _ := errors.AsType[*authz.PendingError](r.Err)
				require.Equal(t, tt.retryAt, !pending.RetryAt.IsZero())
				require.LessOrEqual(t, ca.Count(fakeca.Read), tt.reads)
				require.GreaterOrEqual(t, ca.Count(fakeca.Read), tt.reads/2)
				require.LessOrEqual(t, time.Since(started), authz.DefaultWaitLimit)
			})
		})
	}
}

// Pauses that the CA asks for do not stretch the limit of the wait.
func TestWaitLimitHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := fakeca.New(fakeca.Config{SettleAfter: time.Hour, Intercept: intercept(fakeca.Read, func(n int) *fakeca.Answer {
			if n > 1 {
				return limited(429, "110")
			}
			return nil
		})})
		started := time.Now()
		r := one(t, (&authz.Manager{Client: ca.Client(), WaitLimit: 10 * time.Second}).Validate(t.Context(), authz.URLs(ca.Add(fakeca.Authorization{}))))
		require.ErrorIs(t, r.Err, authz.ErrPending)
		require.Equal(t, 10*time.Second, time.Since(started))
	})
}

// On step-ca the answer is the validation: one that takes longer than a
// request may is not started again and again.
func TestSlowValidationIsNotRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := fakeca.New(fakeca.Config{Behavior: fakeca.StepCA, Intercept: first(always, fakeca.AnswerChallenge, &fakeca.Answer{After: true, Delay: 40 * time.Second})})
		r := one(t, (&authz.Manager{Client: ca.Client()}).Validate(t.Context(), authz.URLs(ca.Add(fakeca.Authorization{}))))
		pending, ok := errors.AsType[*authz.PendingError](r.Err)
		require.True(t, ok, r.Err)
		require.Error(t, pending.Err)
		require.Equal(t, 1, ca.Count(fakeca.AnswerChallenge))
	})
}

// A validation that another client's answer has failed is a failure all the
// same where it was meant to succeed.
func TestSolveOfWhatRunsAlready(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := fakeca.New(fakeca.Config{Behavior: fakeca.OpenBao, SettleAfter: 20 * time.Second})
		client, url := ca.Client(), ca.Add(fakeca.Authorization{})
		_ = one(t, (&authz.Manager{Client: client, WaitLimit: time.Second}).Validate(t.Context(), authz.URLs(url)))
		m := &authz.Manager{Client: client, Solve: func(context.Context, *acme.Authorization) (*acme.Challenge, func(), error) {
			return nil, nil, errors.New("not asked")
		}}
		r := one(t, m.Validate(t.Context(), authz.URLs(url)))
		_, ok := errors.AsType[*acme.AuthorizationError](r.Err)
		require.True(t, ok, r.Err)
		require.False(t, r.Changed)
	})
}

// A challenge that is being processed is not answered again.
func TestValidateWaitsForWhatRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := fakeca.New(fakeca.Config{Behavior: fakeca.OpenBao, SettleAfter: 20 * time.Second})
		client, url := ca.Client(), ca.Add(fakeca.Authorization{})
		require.ErrorIs(t, one(t, (&authz.Manager{Client: client, WaitLimit: time.Second}).Validate(t.Context(), authz.URLs(url))).Err, authz.ErrPending)
		r := one(t, (&authz.Manager{Client: client}).Validate(t.Context(), authz.URLs(url)))
		require.NoError(t, r.Err)
		require.Equal(t, "invalid", r.Authorization.Status)
		require.Equal(t, "dns-01", r.Challenge.Type)
		require.False(t, r.Changed, "it was not this call's answer")
		require.Equal(t, 1, ca.Count(fakeca.AnswerChallenge))
	})
}

// What can happen to an answer on its way.
func TestValidateTroubleWithTheAnswer(t *testing.T) {
	conflict := fakeca.Problem(409, "conflict", "validation in progress")
	for _, tt := range []struct {
		name    string
		answer  *fakeca.Answer
		changed bool
		after   string
		err     string
	}{
		{"lost on the way back", &fakeca.Answer{After: true, Reset: true}, true, "invalid", ""},
		{"lost on the way there", &fakeca.Answer{Reset: true}, true, "invalid", ""},
		{"500 though taken", &fakeca.Answer{After: true, Status: 500}, true, "invalid", ""},
		{"limited", limited(429, "5"), true, "invalid", ""},
		{"limited for long", limited(429, "500"), false, "pending", "rate limited until"},
		{"refused", fakeca.Problem(400, "malformed", "no"), false, "pending", "400 urn:ietf:params:acme:error:malformed: no"},
		{"it validates already", conflict, false, "pending", "still pending"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ca := fakeca.New(fakeca.Config{Intercept: first(1, fakeca.AnswerChallenge, tt.answer)})
				r := one(t, (&authz.Manager{Client: ca.Client()}).Validate(t.Context(), authz.URLs(ca.Add(fakeca.Authorization{}))))
				require.Equal(t, tt.changed, r.Changed, r.Err)
				require.Equal(t, tt.after, r.Authorization.Status)
				if tt.err == "" {
					require.NoError(t, r.Err)
				} else {
					require.ErrorContains(t, r.Err, tt.err)
				}
			})
		})
	}
}

func TestValidateWithSolve(t *testing.T) {
	ofType := func(a *acme.Authorization, kind string) *acme.Challenge {
		for _, c := range a.Challenges {
			if c.Type == kind {
				return c
			}
		}
		return nil
	}
	for _, tt := range []struct {
		name    string
		config  fakeca.Config
		solve   func(*acme.Authorization) (*acme.Challenge, error)
		changed bool
		after   string
		check   func(*testing.T, error)
		payload string
	}{
		{
			name:    "succeeds",
			config:  fakeca.Config{SettleAfter: time.Second, ValidateOK: func(_ fakeca.Authorization, kind string) bool { return kind == "http-01" }},
			solve:   func(a *acme.Authorization) (*acme.Challenge, error) { return ofType(a, "http-01"), nil },
			changed: true, after: "valid", payload: "{}",
			check: func(t *testing.T, err error) { require.NoError(t, err) },
		},
		{
			name:    "fails",
			solve:   func(a *acme.Authorization) (*acme.Challenge, error) { return ofType(a, "tls-alpn-01"), nil },
			changed: true, after: "invalid", payload: "{}",
			check: func(t *testing.T, err error) {
				failed, ok := errors.AsType[*acme.AuthorizationError](err)
				require.True(t, ok)
				require.Equal(t, "solve.example", failed.Identifier)
				require.Len(t, failed.Errors, 1)
			},
		},
		{
			name: "has a payload of its own",
			solve: func(a *acme.Authorization) (*acme.Challenge, error) {
				c := *ofType(a, "http-01")
				c.Payload = []byte(`{"attObj":"x"}`)
				return &c, nil
			},
			changed: true, after: "invalid", payload: `{"attObj":"x"}`,
			check: func(t *testing.T, err error) { require.Error(t, err) },
		},
		{
			name:  "cannot",
			solve: func(*acme.Authorization) (*acme.Challenge, error) { return nil, errors.New("DNS provider is down") },
			after: "pending",
			check: func(t *testing.T, err error) { require.EqualError(t, err, "authz: solve: DNS provider is down") },
		},
		{
			name:  "returns none",
			solve: func(*acme.Authorization) (*acme.Challenge, error) { return nil, nil },
			after: "pending",
			check: func(t *testing.T, err error) { require.ErrorIs(t, err, authz.ErrNoChallenge) },
		},
		{
			name: "returns another's",
			solve: func(*acme.Authorization) (*acme.Challenge, error) {
				return &acme.Challenge{Type: "dns-01", URI: "https://ca.test/acme/chall/1/1/x"}, nil
			},
			after: "pending",
			check: func(t *testing.T, err error) { require.ErrorIs(t, err, authz.ErrNoChallenge) },
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ca := fakeca.New(tt.config)
				client, url := ca.Client(), ca.Add(fakeca.Authorization{Identifier: "solve.example"})
				cleaned := 0
				m := &authz.Manager{Client: client, Solve: func(_ context.Context, a *acme.Authorization) (*acme.Challenge, func(), error) {
					c, err := tt.solve(a)
					return c, func() {
						cleaned++
						require.Equal(t, tt.after, ca.Authorization(url).Status, "cleaned up too early")
					}, err
				}}
				r := one(t, m.Validate(t.Context(), authz.URLs(url)))
				require.Equal(t, tt.changed, r.Changed)
				require.Equal(t, tt.after, r.Authorization.Status)
				tt.check(t, r.Err)
				require.Equal(t, 1, cleaned)
				for _, req := range ca.Requests() {
					if req.Kind == fakeca.AnswerChallenge {
						require.Equal(t, tt.payload, string(req.Payload))
					}
				}
			})
		})
	}
}

func TestErrorTexts(t *testing.T) {
	at := time.Date(2026, 11, 23, 20, 24, 37, 0, time.FixedZone("", 3600))
	problem := &acme.Error{StatusCode: http.StatusTooManyRequests, ProblemType: "p", Detail: "d"}
	for _, tt := range []struct {
		err  error
		is   error
		want string
	}{
		{&authz.RateLimitError{RetryAt: at, Err: problem}, authz.ErrRateLimited, "authz: rate limited until 2026-11-23T19:24:37Z: 429 p: d"},
		{&authz.RateLimitError{Err: problem}, authz.ErrRateLimited, "authz: rate limited: 429 p: d"},
		{&authz.PendingError{Waited: 3 * time.Second}, authz.ErrPending, "authz: authorization is still pending after 3s"},
		{&authz.PendingError{Waited: time.Second, RetryAt: at, Err: problem}, authz.ErrPending, "authz: authorization is still pending after 1s, the CA asks to come back at 2026-11-23T19:24:37Z: 429 p: d"},
	} {
		require.EqualError(t, tt.err, tt.want)
		require.ErrorIs(t, fmt.Errorf("x: %w", tt.err), tt.is)
	}
}
