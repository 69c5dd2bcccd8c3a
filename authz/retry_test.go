package authz_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/acme"
	"golang.org/x/time/rate"

	"github.com/acmeauthz/acmeauthz/authz"
	"github.com/acmeauthz/acmeauthz/internal/fakeca"
)

func header(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Set(pairs[i], pairs[i+1])
	}
	return h
}

// first answers the first n requests of a kind so, and leaves the rest alone.
func first(n int, kind fakeca.Kind, answer *fakeca.Answer) func(*fakeca.Request) *fakeca.Answer {
	return intercept(kind, func(i int) *fakeca.Answer {
		if i <= n {
			return answer
		}
		return nil
	})
}

const always = 1 << 30

func limited(code int, retryAfter string) *fakeca.Answer {
	a := fakeca.Problem(code, "rateLimited", "slow down")
	if retryAfter != "" {
		a.Header.Set("Retry-After", retryAfter)
	}
	return a
}

// Every kind of trouble with one authorization: what comes of it, how many
// requests it takes, and how long. Times are exact but for the random quarter
// of a backoff. The profile is Boulder's: its reads may lag for 5 seconds, so a
// deactivation without a clear answer is sent again only after them.
func TestRetries(t *testing.T) {
	date := func(s string) time.Time { d, _ := time.Parse(time.RFC3339, s); return d } // bubbles start at 2000-01-01
	for _, tt := range []struct {
		name           string
		intercept      func(*fakeca.Request) *fakeca.Answer
		changed        bool
		err            error
		code           int
		retryAt        time.Time
		reads, changes int
		min, max       time.Duration
	}{
		{name: "no trouble", changed: true, reads: 1, changes: 1},

		{name: "read: a 500", intercept: first(1, fakeca.Read, fakeca.Problem(500, "serverInternal", "")), changed: true, reads: 2, changes: 1, min: 375 * time.Millisecond, max: 625 * time.Millisecond},
		{name: "read: 500 for ever", intercept: first(always, fakeca.Read, fakeca.Problem(500, "serverInternal", "")), code: 500, reads: 5, min: 5 * time.Second, max: 10 * time.Second},
		{name: "read: a reset", intercept: first(1, fakeca.Read, &fakeca.Answer{Reset: true}), changed: true, reads: 2, changes: 1, min: 375 * time.Millisecond, max: 625 * time.Millisecond},
		{name: "read: a cut body", intercept: first(1, fakeca.Read, &fakeca.Answer{After: true, Truncate: 20}), changed: true, reads: 2, changes: 1, min: 375 * time.Millisecond, max: 625 * time.Millisecond},
		{name: "read: no answer", intercept: first(1, fakeca.Read, &fakeca.Answer{Hang: true}), changed: true, reads: 2, changes: 1, min: 30 * time.Second, max: 31 * time.Second},
		{name: "read: an empty 200", intercept: first(always, fakeca.Read, &fakeca.Answer{}), err: errors.New("not an authorization"), reads: 1},
		{name: "read: 2 MiB", intercept: first(always, fakeca.Read, &fakeca.Answer{Body: bytes.Repeat([]byte(" "), 2<<20)}), err: errors.New("larger than 1048576 bytes"), reads: 1},
		{name: "read: a 501", intercept: first(always, fakeca.Read, &fakeca.Answer{Status: 501}), code: 501, reads: 1},

		{name: "deactivate: 500 though done", intercept: first(1, fakeca.Deactivate, &fakeca.Answer{After: true, Status: 500}), changed: true, reads: 2, changes: 1, min: 375 * time.Millisecond, max: 625 * time.Millisecond},
		{name: "deactivate: 500 and not done", intercept: first(1, fakeca.Deactivate, fakeca.Problem(500, "serverInternal", "")), changed: true, reads: 3, changes: 2, min: 5 * time.Second, max: 5 * time.Second},
		{name: "deactivate: 500 for ever", intercept: first(always, fakeca.Deactivate, fakeca.Problem(500, "serverInternal", "")), code: 500, reads: 7, changes: 3, min: 15 * time.Second, max: 15 * time.Second},
		{name: "deactivate: the answer is lost", intercept: first(1, fakeca.Deactivate, &fakeca.Answer{After: true, Reset: true}), changed: true, reads: 2, changes: 1, min: 375 * time.Millisecond, max: 625 * time.Millisecond},
		{name: "deactivate: the answer is cut", intercept: first(1, fakeca.Deactivate, &fakeca.Answer{After: true, Truncate: 20}), changed: true, reads: 2, changes: 1, min: 375 * time.Millisecond, max: 625 * time.Millisecond},
		{name: "deactivate: the request is lost", intercept: first(1, fakeca.Deactivate, &fakeca.Answer{Reset: true}), changed: true, reads: 3, changes: 2, min: 5 * time.Second, max: 5 * time.Second},
		{name: "deactivate: 204, done", intercept: first(1, fakeca.Deactivate, &fakeca.Answer{After: true, Status: 204, Truncate: -1}), changed: true, reads: 2, changes: 1, min: 375 * time.Millisecond, max: 625 * time.Millisecond},
		{name: "deactivate: 202 for ever", intercept: first(always, fakeca.Deactivate, &fakeca.Answer{Status: 202}), err: errors.New("nothing changed"), reads: 7, changes: 3, min: 15 * time.Second, max: 15 * time.Second},
		{name: "deactivate: 204 for ever", intercept: first(always, fakeca.Deactivate, &fakeca.Answer{Status: 204}), err: errors.New("nothing changed"), reads: 7, changes: 3, min: 15 * time.Second, max: 15 * time.Second},
		{name: "deactivate: a 408", intercept: first(always, fakeca.Deactivate, &fakeca.Answer{Status: 408}), code: 408, reads: 1, changes: 1},
		{name: "deactivate: rateLimited with a 403", intercept: first(1, fakeca.Deactivate, fakeca.Problem(403, "rateLimited", "")), changed: true, reads: 1, changes: 2, min: 375 * time.Millisecond, max: 625 * time.Millisecond},
		{name: "deactivate: badNonce for ever", intercept: first(always, fakeca.Deactivate, fakeca.Problem(400, "badNonce", "")), code: 400, reads: 1, changes: 9},
		{name: "deactivate: 404 though just read", intercept: first(always, fakeca.Deactivate, fakeca.Problem(404, "malformed", "")), err: authz.ErrRefused, code: 404, reads: 2, changes: 1},

		{name: "429 with seconds", intercept: first(1, fakeca.Deactivate, limited(429, "30")), changed: true, reads: 1, changes: 2, min: 30 * time.Second, max: 30*time.Second + 50*time.Millisecond},
		{name: "429 with a date", intercept: first(1, fakeca.Read, limited(429, "Sat, 01 Jan 2000 00:01:00 GMT")), changed: true, reads: 2, changes: 1, min: time.Minute, max: time.Minute + 50*time.Millisecond},
		{name: "503 with seconds", intercept: first(2, fakeca.Deactivate, limited(503, "7")), changed: true, reads: 1, changes: 3, min: 14 * time.Second, max: 14*time.Second + 50*time.Millisecond},
		{name: "503 for the nonce", intercept: first(1, fakeca.Nonce, limited(503, "3")), changed: true, reads: 1, changes: 1, min: 3 * time.Second, max: 3*time.Second + 50*time.Millisecond},
		{name: "429 without a time", intercept: first(1, fakeca.Read, limited(429, "")), changed: true, reads: 2, changes: 1, min: 375 * time.Millisecond, max: 625 * time.Millisecond},
		{name: "429 with a past date does not spin", intercept: first(always, fakeca.Read, limited(429, "Fri, 31 Dec 1999 00:00:00 GMT")), err: authz.ErrRateLimited, code: 429, retryAt: date("1999-12-31T00:00:00Z"), reads: 8, min: 20 * time.Second, max: time.Minute},
		{name: "429 with nonsense", intercept: first(1, fakeca.Read, limited(429, "soon")), changed: true, reads: 2, changes: 1, min: 375 * time.Millisecond, max: 625 * time.Millisecond},
		{name: "429 for a day", intercept: first(always, fakeca.Deactivate, limited(429, "86400")), err: authz.ErrRateLimited, code: 429, retryAt: date("2000-01-02T00:00:00Z"), reads: 1, changes: 1},
		{name: "429 for longer than time has", intercept: first(always, fakeca.Read, limited(429, "9223372036854775807")), err: authz.ErrRateLimited, code: 429, retryAt: date("2000-01-01T00:00:00Z").Add(10 * 365 * 24 * time.Hour), reads: 1},
		{name: "429 for ever", intercept: first(always, fakeca.Read, limited(429, "10")), err: authz.ErrRateLimited, code: 429, retryAt: date("2000-01-01T00:01:20Z"), reads: 8, min: 70 * time.Second, max: 72 * time.Second},

		{name: "badNonce", intercept: first(1, fakeca.Read, fakeca.Problem(400, "badNonce", "")), changed: true, reads: 2, changes: 1},
		{name: "badNonce for ever", intercept: first(always, fakeca.Read, fakeca.Problem(400, "badNonce", "")), code: 400, reads: 9},
		{name: "badNonce for a deactivation", intercept: first(3, fakeca.Deactivate, fakeca.Problem(400, "badNonce", "")), changed: true, reads: 1, changes: 4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ca := fakeca.New(fakeca.Config{Intercept: tt.intercept})
				client, url := ca.Client(), ca.Add(fakeca.Authorization{})
				started := time.Now()
				r := one(t, (&authz.Manager{Client: client}).Deactivate(t.Context(), authz.URLs(url)))
				took := time.Since(started)

				require.Equal(t, tt.changed, r.Changed, r.Err)
				if tt.changed {
					require.NoError(t, r.Err)
					require.Equal(t, "deactivated", r.Authorization.Status)
				} else {
					require.Error(t, r.Err)
				}
				switch tt.err {
				case nil:
				case authz.ErrRefused, authz.ErrRateLimited:
					require.ErrorIs(t, r.Err, tt.err)
				default:
					require.ErrorContains(t, r.Err, tt.err.Error())
				}
				if problem, ok := errors.AsType[*acme.Error](r.Err); ok || tt.code != 0 {
					require.Equal(t, tt.code, problem.StatusCode)
				}
				if limit, ok := errors.AsType[*authz.RateLimitError](r.Err); ok {
					require.WithinDuration(t, tt.retryAt, limit.RetryAt, 2*time.Second)
				}
				require.Equal(t, tt.reads, ca.Count(fakeca.Read))
				require.Equal(t, tt.changes, ca.Count(fakeca.Deactivate))
				require.GreaterOrEqual(t, took, tt.min)
				require.LessOrEqual(t, took, tt.max)
			})
		})
	}
}

// One Retry-After pauses all workers, and once: after the requests that were
// under way nothing arrives before its end, and then not all at once.
func TestRetryAfterPausesEverybodyOnce(t *testing.T) {
	const latency = 50 * time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		ca := fakeca.New(fakeca.Config{Latency: latency, Intercept: intercept(fakeca.Read, func(n int) *fakeca.Answer {
			if n == 500 {
				return limited(429, "30")
			}
			return nil
		})})
		urls := add(ca, 1000, fakeca.Authorization{})
		started := time.Now()
		results, err := gather(t, (&authz.Manager{Client: ca.Client(), Parallelism: 16}).Deactivate(t.Context(), authz.URLs(urls...)))
		require.NoError(t, err)
		for _, r := range results {
			require.True(t, r.Changed, r.Err)
		}
		require.Less(t, time.Since(started), 40*time.Second, "1000 at 160 a second, 30 s of pause, and the start")
		var told, again time.Time
		for _, r := range ca.Requests() {
			switch {
			case r.Status == 429:
				told = r.Time.Add(latency) // when its answer arrives
				again = told.Add(30 * time.Second)
			case !told.IsZero() && r.Time.After(told):
				require.False(t, r.Time.Before(again), "a request during the pause")
			}
		}
		require.False(t, told.IsZero())
	})
}

// A CA that allows few requests and says when to come back gets everything
// done in the end: workers come back one by one and find its pace, and those
// that were put off most often come first.
func TestFindsThePaceOfALimit(t *testing.T) {
	for _, perSecond := range []int{10, 40} {
		t.Run(fmt.Sprint(perSecond), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bucket := rate.NewLimiter(rate.Limit(perSecond), perSecond)
				ca := fakeca.New(fakeca.Config{Latency: 20 * time.Millisecond, Intercept: func(r *fakeca.Request) *fakeca.Answer {
					if r.Kind == fakeca.Directory || bucket.Allow() {
						return nil
					}
					return limited(429, "1")
				}})
				urls := add(ca, 500, fakeca.Authorization{})
				started := time.Now()
				results, err := gather(t, (&authz.Manager{Client: ca.Client(), Parallelism: 64}).Deactivate(t.Context(), authz.URLs(urls...)))
				require.NoError(t, err)
				lost := 0
				for _, r := range results {
					if !r.Changed {
						require.ErrorIs(t, r.Err, authz.ErrRateLimited)
						lost++
					}
				}
				t.Logf("%d of 500 lost, %d requests in %v", lost, ca.Total(), time.Since(started))
				require.Zero(t, lost)
			})
		})
	}
}

// A CA that has said several times in a row not to come back today is not
// asked for every URL.
func TestRetryAfterTomorrowForEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := fakeca.New(fakeca.Config{Intercept: func(r *fakeca.Request) *fakeca.Answer {
			if r.Kind == fakeca.Read && r.Number > 50 {
				return limited(429, "86400")
			}
			return nil
		}})
		urls := add(ca, 5000, fakeca.Authorization{})
		results, err := gather(t, (&authz.Manager{Client: ca.Client(), Parallelism: 8}).List(t.Context(), authz.URLs(urls...)))
		require.NoError(t, err)
		require.Len(t, results, 5000)
		for _, r := range results[60:] {
			limit, ok := errors.AsType[*authz.RateLimitError](r.Err)
			require.True(t, ok, r.Err)
			require.False(t, limit.RetryAt.IsZero())
		}
		require.Less(t, ca.Total(), 100)
	})
}

// A wait that is too long is that URL's error; the others go on.
func TestLongRetryAfterIsOneURLsError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var bad atomic.Value // a URL
		ca := fakeca.New(fakeca.Config{Intercept: func(r *fakeca.Request) *fakeca.Answer {
			if r.URL == bad.Load() {
				return limited(429, "3600")
			}
			return nil
		}})
		urls := add(ca, 100, fakeca.Authorization{})
		bad.Store(urls[50])
		m := &authz.Manager{Client: ca.Client()}
		started := time.Now()
		results, err := gather(t, m.Deactivate(t.Context(), authz.URLs(urls...)))
		require.NoError(t, err)
		require.Less(t, time.Since(started), time.Minute)
		for i, r := range results {
			require.Equal(t, i != 50, r.Changed)
		}
		limit, ok := errors.AsType[*authz.RateLimitError](results[50].Err)
		require.True(t, ok)
		require.WithinDuration(t, started.Add(time.Hour), limit.RetryAt, 10*time.Second)

		m.MaxRetryAfter = 2 * time.Hour
		url := ca.Add(fakeca.Authorization{})
		bad.Store(url)
		time.AfterFunc(30*time.Minute, func() { bad.Store("") })
		require.True(t, one(t, m.Deactivate(t.Context(), authz.URLs(url))).Changed, "an hour was within the limit")
	})
}

func TestCallersRetryBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := fakeca.New(fakeca.Config{Intercept: first(always, fakeca.Read, fakeca.Problem(500, "serverInternal", ""))})
		client, url := ca.Client(), ca.Add(fakeca.Authorization{})
		var seen []int
		client.RetryBackoff = func(n int, r *http.Request, resp *http.Response) time.Duration {
			require.Equal(t, url, r.URL.String())
			require.Equal(t, 500, resp.StatusCode)
			seen = append(seen, n)
			if n == 3 {
				return 0
			}
			return time.Minute
		}
		started := time.Now()
		r := one(t, (&authz.Manager{Client: client}).List(t.Context(), authz.URLs(url)))
		require.ErrorContains(t, r.Err, "500")
		require.Equal(t, []int{1, 2, 3}, seen)
		require.Equal(t, 2*time.Minute, time.Since(started))
	})
}

func TestLimiterPacesEveryRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := fakeca.New(fakeca.Config{})
		urls := add(ca, 50, fakeca.Authorization{})
		client := ca.Client()
		client.HTTPClient = &http.Client{Transport: ca.Transport(), Timeout: time.Second} // the time in the queue is not the request's
		started := time.Now()
		m := &authz.Manager{Client: client, Parallelism: 20, Limiter: rate.NewLimiter(2, 1)}
		results, err := gather(t, m.Deactivate(t.Context(), authz.URLs(urls...)))
		require.NoError(t, err)
		for _, r := range results {
			require.True(t, r.Changed, r.Err)
		}
		var last time.Time
		for _, r := range ca.Requests() {
			require.GreaterOrEqual(t, r.Time.Sub(last), 499*time.Millisecond)
			last = r.Time
		}
		require.GreaterOrEqual(t, time.Since(started), 50*time.Second)
	})
}

// With a slow limiter, nonces must not grow old in its queue.
func TestSlowLimiterWastesNoRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := fakeca.New(fakeca.Config{Latency: 50 * time.Millisecond})
		urls := add(ca, 100, fakeca.Authorization{})
		m := &authz.Manager{Client: ca.Client(), Parallelism: 64, Limiter: rate.NewLimiter(0.2, 1)}
		results, err := gather(t, m.Deactivate(t.Context(), authz.URLs(urls...)))
		require.NoError(t, err)
		for _, r := range results {
			require.True(t, r.Changed, r.Err)
		}
		require.LessOrEqual(t, ca.Total(), 210)
	})
}

// What the limiter cannot let through in time is the context's to end: the
// others have their turn before, and none fails by itself.
func TestLimiterBeyondTheDeadline(t *testing.T) {
	for _, deadline := range []time.Duration{10 * time.Second, 10500 * time.Millisecond} {
		t.Run(deadline.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ca := fakeca.New(fakeca.Config{})
				urls := add(ca, 100, fakeca.Authorization{})
				ctx, cancel := context.WithTimeout(t.Context(), deadline)
				defer cancel()
				started := time.Now()
				m := &authz.Manager{Client: ca.Client(), Limiter: rate.NewLimiter(1, 1)}
				results, err := gather(t, m.Deactivate(ctx, authz.URLs(urls...)))
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.Equal(t, deadline, time.Since(started))
				require.Less(t, len(results), 20, "those that had not begun have no result")
				for _, r := range results {
					if !r.Changed {
						require.ErrorIs(t, r.Err, context.DeadlineExceeded)
					}
				}
			})
		})
	}
}

// 64 workers start under Let's Encrypt's limit on new nonces, and come to
// speed nevertheless. The clock is the bubble's, so the figures are exact.
func TestStartsSlowlyAndKeepsPace(t *testing.T) {
	const n, workers, latency = 10_000, 64, 50 * time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		ca := fakeca.New(fakeca.Config{Latency: latency, NonceLimit: 20, NonceBurst: 10, SkipSignature: true})
		urls := add(ca, n, fakeca.Authorization{})
		client := ca.Client()
		started := time.Now()
		results, err := gather(t, (&authz.Manager{Client: client, Parallelism: workers}).Deactivate(t.Context(), authz.URLs(urls...)))
		took := time.Since(started)
		require.NoError(t, err)
		for _, r := range results {
			require.True(t, r.Changed, r.Err)
		}
		early := 0
		for _, r := range ca.Requests() {
			require.Equal(t, 200, r.Status, "the limit on new nonces was met")
			if r.Kind == fakeca.Nonce && r.Time.Sub(started) < 3*latency {
				early++
			}
		}
		require.LessOrEqual(t, early, 3, "one nonce first, then twice as many")
		require.Equal(t, workers, ca.MaxInFlight())
		ideal := float64(workers) / (2 * latency.Seconds())
		t.Logf("%.0f authorizations/s of %.0f, %.4f requests each", n/took.Seconds(), ideal, float64(ca.Total())/n)
		require.GreaterOrEqual(t, n/took.Seconds(), 0.85*ideal)
		require.LessOrEqual(t, float64(ca.Total())/n, 2.05)
	})
}

func TestBadNoncesCostARequestEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := fakeca.New(fakeca.Config{Latency: 50 * time.Millisecond, BadNonceEvery: 20, SkipSignature: true})
		urls := add(ca, 2000, fakeca.Authorization{})
		results, err := gather(t, (&authz.Manager{Client: ca.Client(), Parallelism: 16}).Deactivate(t.Context(), authz.URLs(urls...)))
		require.NoError(t, err)
		for _, r := range results {
			require.True(t, r.Changed, r.Err)
		}
		require.LessOrEqual(t, float64(ca.Total())/2000, 2.15, "2 / 0.95 and the start")
		require.LessOrEqual(t, ca.Count(fakeca.Nonce), 80)
	})
}

// Errors of OpenBao bring no nonce back, and its nonces are good for 90
// seconds: neither may stop the work.
func TestNoncesThatGetLostOrOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := fakeca.New(fakeca.Config{Behavior: fakeca.OpenBao})
		known := add(ca, 10, fakeca.Authorization{})
		m := &authz.Manager{Client: ca.Client(), Parallelism: 1}
		source := func(yield func(string, error) bool) {
			for _, url := range known {
				if !yield(url+"0", nil) || !yield(url, nil) {
					return
				}
				time.Sleep(5 * time.Minute)
			}
		}
		results, err := gather(t, m.Deactivate(t.Context(), source))
		require.NoError(t, err)
		for i, r := range results {
			require.Equal(t, i%2 == 1, r.Changed, r.Err)
		}
		require.GreaterOrEqual(t, ca.Count(fakeca.Nonce), 10)
	})
}

func TestConnectionsAreUsedAgain(t *testing.T) {
	ca := fakeca.New(fakeca.Config{SkipSignature: true})
	ca.Start(t)
	urls := add(ca, 500, fakeca.Authorization{})
	client := ca.Client()
	client.HTTPClient = nil // the default transport, which keeps two per host
	results, err := gather(t, (&authz.Manager{Client: client, Parallelism: 8}).Deactivate(t.Context(), authz.URLs(urls...)))
	require.NoError(t, err)
	for _, r := range results {
		require.True(t, r.Changed, r.Err)
	}
	require.LessOrEqual(t, ca.Connections(), 2*8, "for 1000 requests; a worker may dial though another connection falls free")
}

func TestLoggerSeesNoSecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		ca := fakeca.New(fakeca.Config{Intercept: first(1, fakeca.Read, limited(429, "5"))})
		m := &authz.Manager{Client: ca.Client(), Parallelism: 1, Logger: slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))}
		require.True(t, one(t, m.Deactivate(t.Context(), authz.URLs(ca.Add(fakeca.Authorization{})))).Changed)
		require.Contains(t, out.String(), "level=INFO msg=\"CA asks for a pause\" pause=5s code=429")
		require.Equal(t, ca.Total()-1, strings.Count(out.String(), "level=DEBUG msg=request"), "all but the directory")
	})
}

// An endless answer is read up to the bound and no further.
type endless struct {
	http.RoundTripper
	url  string
	read atomic.Int64
}

func (e *endless) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := e.RoundTripper.RoundTrip(r)
	if err == nil && r.URL.String() == e.url {
		resp.Body = e
	}
	return resp, err
}

func (e *endless) Read(b []byte) (int, error) {
	e.read.Add(int64(len(b)))
	return len(b), nil
}

func (e *endless) Close() error { return nil }

func TestEndlessAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := fakeca.New(fakeca.Config{})
		client, url := ca.Client(), ca.Add(fakeca.Authorization{})
		body := &endless{RoundTripper: ca.Transport(), url: url}
		client.HTTPClient = &http.Client{Transport: body}
		r := one(t, (&authz.Manager{Client: client}).List(t.Context(), authz.URLs(url)))
		require.ErrorContains(t, r.Err, "larger than 1048576 bytes")
		require.LessOrEqual(t, body.read.Load(), int64(2<<20))
	})
}
