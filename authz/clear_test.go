package authz_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/acme"

	"github.com/acmeauthz/acmeauthz/authz"
	"github.com/acmeauthz/acmeauthz/internal/fakeca"
)

// profileOf is one of the package's profiles, for whatever server.
func profileOf(t testing.TB, name string) []authz.Profile {
	t.Helper()
	for _, p := range authz.Profiles() {
		if p.Name == name {
			p.Match = []authz.Match{{}}
			return []authz.Profile{p}
		}
	}
	require.Fail(t, "no profile", name)
	return nil
}

// A fresh authorization is spared unless something says that it was left.
var old = authz.Policy{KeepYounger: -1}

func TestClearChooses(t *testing.T) {
	solve := func(_ context.Context, a *acme.Authorization) (*acme.Challenge, func(), error) {
		return a.Challenges[0], nil, nil
	}
	for _, tt := range []struct {
		name           string
		behavior       fakeca.Behavior
		profile        string
		policy         authz.Policy
		solve          func(context.Context, *acme.Authorization) (*acme.Challenge, func(), error)
		authorization  fakeca.Authorization
		action         authz.Action
		reason         string
		status         string // in the end
		changed        bool
		at             bool // whether the end is known
		err            error
		posts, answers int
	}{
		{name: "Let's Encrypt: leave", profile: "Let's Encrypt", policy: old, action: authz.ActionLeave,
			reason: "it ends by itself and is in nobody's way; to deactivate it would count as a failed validation", status: "pending", at: true},
		{name: "Let's Encrypt: as told", profile: "Let's Encrypt", policy: authz.Policy{KeepYounger: -1, Method: authz.ActionDeactivate},
			action: authz.ActionDeactivate, reason: "as told", status: "deactivated", changed: true, posts: 1},
		{name: "Let's Encrypt: answer as told", profile: "Let's Encrypt", policy: authz.Policy{KeepYounger: -1, Method: authz.ActionAnswer},
			action: authz.ActionAnswer, reason: "as told", status: "invalid", changed: true, answers: 1},
		{name: "Let's Encrypt: finish", profile: "Let's Encrypt", policy: old, solve: solve,
			action: authz.ActionFinish, reason: "it can be validated, which costs nothing and leaves no trace", status: "valid", changed: true, answers: 1},
		{name: "Let's Encrypt: a solver that cannot", profile: "Let's Encrypt", policy: old,
			solve: func(context.Context, *acme.Authorization) (*acme.Challenge, func(), error) {
				return nil, nil, authz.ErrNoChallenge
			},
			action: authz.ActionLeave, reason: "it ends by itself and is in nobody's way; to deactivate it would count as a failed validation", status: "pending", at: true},
		{name: "a solver that fails", profile: "Pebble", policy: old,
			solve: func(context.Context, *acme.Authorization) (*acme.Challenge, func(), error) {
				return nil, nil, errors.New("the DNS provider hangs")
			},
			action: authz.ActionDeactivate, reason: "this CA deactivates at once (authz: solve: the DNS provider hangs)", status: "deactivated", changed: true, posts: 1},
		{name: "a solver that fails, as told", profile: "Pebble", policy: authz.Policy{KeepYounger: -1, Method: authz.ActionFinish},
			solve: func(context.Context, *acme.Authorization) (*acme.Challenge, func(), error) {
				return nil, nil, errors.New("the DNS provider hangs")
			},
			action: authz.ActionFinish, reason: "as told", status: "pending", err: errAny},
		{name: "a Boulder of one's own: deactivate", policy: old, action: authz.ActionDeactivate, reason: "this CA deactivates at once", status: "deactivated", changed: true, posts: 1},
		{name: "Pebble: deactivate", behavior: fakeca.Pebble, policy: old, action: authz.ActionDeactivate, reason: "this CA deactivates at once", status: "deactivated", changed: true, posts: 1},
		{name: "OpenBao: deactivate", behavior: fakeca.OpenBao, action: authz.ActionDeactivate, reason: "this CA deactivates at once", status: "deactivated", changed: true, posts: 1},
		{name: "step-ca: wait", behavior: fakeca.StepCA, policy: old, action: authz.ActionWait,
			reason: "this CA does not deactivate, and a failed answer leaves it pending", status: "pending", at: true},
		{name: "step-ca: finish", behavior: fakeca.StepCA, policy: old, solve: solve, action: authz.ActionFinish,
			reason: "it can be validated, which costs nothing and leaves no trace", status: "valid", changed: true, answers: 1},
		{name: "step-ca: as told, in vain", behavior: fakeca.StepCA, policy: authz.Policy{KeepYounger: -1, Method: authz.ActionDeactivate},
			action: authz.ActionDeactivate, reason: "as told", status: "pending", err: authz.ErrRefused, posts: 1},
		{name: "Dogtag: answer", behavior: fakeca.Ignores, policy: old, action: authz.ActionAnswer,
			reason: "this CA does not deactivate; a failed answer settles it", status: "invalid", changed: true, answers: 1},
		{name: "Actalis: leave", profile: "Actalis", policy: old, action: authz.ActionLeave,
			reason: "this CA changes the word only when asked to deactivate; nothing is gained", status: "pending", at: true},
		{name: "DigiCert: leave", profile: "DigiCert", policy: old, action: authz.ActionLeave,
			reason: "this CA validates names by other means; the authorization is in nobody's way", status: "pending", at: true},
		{name: "ZeroSSL: deactivate", profile: "ZeroSSL", policy: old, action: authz.ActionDeactivate, reason: "this CA deactivates at once", status: "deactivated", changed: true, posts: 1},
		{name: "unknown: deactivate", profile: "unknown CA", policy: old, action: authz.ActionDeactivate,
			reason: "nobody knows this CA; RFC 8555 says that deactivating works", status: "deactivated", changed: true, posts: 1},
		{name: "unknown, and it refuses", behavior: fakeca.StepCA, profile: "unknown CA", policy: old, action: authz.ActionWait,
			reason: "this CA does not deactivate, and a failed answer leaves it pending (authz: CA refuses to deactivate authorizations: 400 urn:ietf:params:acme:error:malformed: The request message was malformed)", status: "pending", at: true, posts: 1},
		{name: "unknown, and it ignores", behavior: fakeca.Ignores, profile: "unknown CA", policy: old, action: authz.ActionWait,
			reason: `this CA does not deactivate, and a failed answer leaves it pending (authz: CA ignored the deactivation: status is "pending")`, status: "pending", at: true, posts: 1},

		{name: "valid", policy: old, authorization: fakeca.Authorization{Status: "valid"}, action: authz.ActionNone, reason: "it is valid", status: "valid"},
		{name: "over by its date", behavior: fakeca.Pebble, policy: old, authorization: fakeca.Authorization{Expires: bubble.Add(-time.Hour)},
			action: authz.ActionNone, reason: "its time ended on 1999-12-31T23:00:00Z, whatever the CA calls it", status: "pending"},
		{name: "young", authorization: fakeca.Authorization{Expires: bubble.Add(168*time.Hour - 20*time.Minute)}, action: authz.ActionSpare,
			reason: "it may have been made only 20m0s ago, and its order is not known", status: "pending", at: true},
		{name: "young, of a short profile", authorization: fakeca.Authorization{Expires: bubble.Add(30 * time.Minute)}, action: authz.ActionSpare,
			reason: "it may have been made only 30m0s ago, and its order is not known", status: "pending", at: true},
		{name: "young, disturbed", policy: authz.Policy{Disturb: true}, action: authz.ActionDeactivate, reason: "this CA deactivates at once", status: "deactivated", changed: true, posts: 1},
		{name: "old enough", authorization: fakeca.Authorization{Expires: bubble.Add(166 * time.Hour)}, action: authz.ActionDeactivate,
			reason: "this CA deactivates at once", status: "deactivated", changed: true, posts: 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ca := fakeca.New(fakeca.Config{Behavior: tt.behavior, ValidateOK: func(fakeca.Authorization, string) bool { return tt.solve != nil }})
				m := &authz.Manager{Client: ca.Client(), Policy: tt.policy, Solve: tt.solve}
				if tt.profile != "" {
					m.Profiles = profileOf(t, tt.profile)
				}
				url := ca.Add(tt.authorization)
				if tt.behavior == fakeca.Pebble && tt.authorization.Expires.IsZero() {
					url = ca.Add(fakeca.Authorization{Expires: time.Now().Add(30 * time.Minute)})
				}

				plan, err := m.Plan(t.Context(), authz.URLs(url))
				require.NoError(t, err)
				require.Len(t, plan.Steps, 1)
				require.Zero(t, ca.Count(fakeca.Deactivate)+ca.Count(fakeca.AnswerChallenge), "a plan changes nothing")

				r := one(t, m.Clear(t.Context(), authz.URLs(url)))
				switch tt.err {
				case nil:
					require.NoError(t, r.Err)
				case errAny:
					require.Error(t, r.Err)
				default:
					require.ErrorIs(t, r.Err, tt.err)
				}
				require.Equal(t, tt.action, r.Decision.Action)
				require.Equal(t, tt.reason, r.Decision.Reason)
				require.Equal(t, tt.at, !r.Decision.At.IsZero())
				require.Equal(t, tt.changed, r.Changed)
				require.Equal(t, tt.changed, !r.ChangedAt.IsZero())
				require.Equal(t, tt.status, ca.Authorization(url).Status)
				require.Equal(t, tt.posts, ca.Count(fakeca.Deactivate))
				require.Equal(t, tt.answers, ca.Count(fakeca.AnswerChallenge))
				if !strings.HasPrefix(tt.name, "unknown, and") && !strings.Contains(tt.name, "a solver that") {
					require.Equal(t, tt.action, plan.Steps[0].Action)
					require.Equal(t, tt.reason, plan.Steps[0].Reason)
				}
			})
		})
	}
}

var errAny = errors.New("any error")

// bubble is when a synctest bubble begins.
var bubble = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// With 5 failures an hour, one is kept for the client: four of a name go at
// once, the next when the first has come back after 12 minutes. A wildcard has
// a budget of its own.
func TestFailureBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := fakeca.New(fakeca.Config{})
		m := &authz.Manager{
			Client: ca.Client(), Parallelism: 1, Profiles: profileOf(t, "Let's Encrypt"),
			Policy: authz.Policy{Method: authz.ActionDeactivate, KeepYounger: -1},
		}
		journal, err := authz.OpenJournal(filepath.Join(t.TempDir(), "journal"))
		require.NoError(t, err)
		defer func() { require.NoError(t, journal.Close()) }()
		m.Journal = journal
		var urls []string
		urls = append(urls, add(ca, 7, fakeca.Authorization{Identifier: "a.example"})...)
		urls = append(urls, add(ca, 5, fakeca.Authorization{Identifier: "a.example", Wildcard: true})...)
		urls = append(urls, add(ca, 1, fakeca.Authorization{Identifier: "b.example"})...)

		plan, err := m.Plan(t.Context(), authz.URLs(urls...))
		require.NoError(t, err)
		require.Equal(t, 9, plan.Failures)
		require.Equal(t, 9, plan.Count(authz.ActionDeactivate))
		var at []time.Duration
		for _, step := range plan.Steps {
			if step.Action == authz.ActionDefer {
				require.Equal(t, "its name has no failures to spare now: this CA allows 5 in 1h", step.Reason)
				at = append(at, step.At.Sub(bubble))
			}
		}
		require.Equal(t, []time.Duration{12 * time.Minute, 24 * time.Minute, 36 * time.Minute, 12 * time.Minute}, round(at))
		require.Equal(t, 36*time.Minute, plan.Finished.Sub(bubble).Round(time.Minute))

		clear := func(want ...int) {
			t.Helper()
			results, err := gather(t, m.Clear(t.Context(), authz.URLs(urls...)))
			require.NoError(t, err)
			counts := map[authz.Action]int{}
			for _, r := range results {
				require.NoError(t, r.Err)
				counts[r.Decision.Action]++
			}
			require.Equal(t, want, []int{counts[authz.ActionDeactivate], counts[authz.ActionDefer], counts[authz.ActionNone]})
		}
		clear(9, 4, 0)
		clear(0, 4, 9)
		time.Sleep(12*time.Minute + time.Second)
		clear(2, 2, 9)
		time.Sleep(24*time.Minute + time.Second)
		clear(2, 0, 11)
		require.Equal(t, 13, ca.Count(fakeca.Deactivate))
	})
}

func round(all []time.Duration) []time.Duration {
	for i, d := range all {
		all[i] = d.Round(time.Minute)
	}
	return all
}

// What would only be cleared after it has ended anyway is left, and so is what
// would make the CA pause the name.
func TestBudgetThatNeverComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := fakeca.New(fakeca.Config{})
		m := &authz.Manager{
			Client: ca.Client(), Parallelism: 1, Profiles: profileOf(t, "Let's Encrypt"),
			Policy: authz.Policy{Method: authz.ActionDeactivate, KeepYounger: -1},
		}
		urls := add(ca, 5, fakeca.Authorization{Identifier: "a.example", Expires: time.Now().Add(5 * time.Minute)})
		plan, err := m.Plan(t.Context(), authz.URLs(urls...))
		require.NoError(t, err)
		require.Equal(t, authz.ActionLeave, plan.Steps[4].Action)
		require.Equal(t, "it ends by itself before its name has failures to spare", plan.Steps[4].Reason)

		m.Profiles[0].Failures.Consecutive = 30
		plan, err = m.Plan(t.Context(), authz.URLs(urls...))
		require.NoError(t, err)
		require.Equal(t, 3, plan.Failures)
		require.Equal(t, "so many failures in a row without a success would make the CA pause the name", plan.Steps[3].Reason)

		m.Policy.Overspend = true
		results, err := gather(t, m.Clear(t.Context(), authz.URLs(urls...)))
		require.NoError(t, err)
		for _, r := range results {
			require.True(t, r.Changed)
		}
	})
}

// A plan survives being written and read, is applied within its account only,
// and what has changed meanwhile is respected.
func TestPlanAndApply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := fakeca.New(fakeca.Config{})
		var known map[string][]authz.KnownOrder
		m := &authz.Manager{Client: ca.Client(), KnownOrders: func(url string) []authz.KnownOrder { return known[url] }}
		urls := add(ca, 4, fakeca.Authorization{Expires: bubble.Add(100 * time.Hour)})
		urls = append(urls, ca.Add(fakeca.Authorization{}), ca.URL()+"/acme/authz/1/999999")
		plan, err := m.Plan(t.Context(), authz.URLs(urls...))
		require.NoError(t, err)
		require.Equal(t, []int{4, 1, 4}, []int{plan.Count(authz.ActionDeactivate), plan.Count(authz.ActionSpare), plan.Failures})
		require.Equal(t, authz.PlannedStep{URL: urls[5], Action: authz.ActionNone, Reason: "the CA does not know it: it expired, was purged, or never was"}, plan.Steps[5])
		require.Equal(t, "Boulder", plan.CA)

		written, err := json.Marshal(plan)
		require.NoError(t, err)
		read, err := authz.ReadPlan(strings.NewReader(string(written)))
		require.NoError(t, err)
		require.Equal(t, plan, read)

		ca.SetStatus(urls[1], "valid")
		known = map[string][]authz.KnownOrder{urls[2]: {{Run: authz.RunActive}}}
		results, err := gather(t, m.Apply(t.Context(), read))
		require.NoError(t, err)
		var actions []authz.Action
		for _, r := range results {
			actions = append(actions, r.Decision.Action)
		}
		require.Equal(t, []authz.Action{authz.ActionDeactivate, authz.ActionNone, authz.ActionSpare, authz.ActionDeactivate, authz.ActionSpare, authz.ActionNone}, actions)
		require.Equal(t, []bool{true, false, false, true, false, false}, []bool{
			results[0].Changed, results[1].Changed, results[2].Changed, results[3].Changed, results[4].Changed, results[5].Changed})

		other := &authz.Manager{Client: ca.NewAccount()}
		_, err = gather(t, other.Apply(t.Context(), read))
		require.ErrorIs(t, err, authz.ErrOtherPlan)
		for text, want := range map[string]string{
			`{"schema":"acmeauthz-plan/2"}`:                         `its schema is "acmeauthz-plan/2", want "acmeauthz-plan/1"`,
			`{"schema":"acmeauthz-plan/1","steps":[{}]}`:            "a step has no url",
			`{"schema":"acmeauthz-plan/1","steps":[{"url":"x"}]`:    "unexpected EOF",
			`{"schema":"acmeauthz-plan/1","steps":[{"url":["x"]}]}`: "cannot unmarshal array",
		} {
			_, err := authz.ReadPlan(strings.NewReader(text))
			require.ErrorContains(t, err, want)
		}
	})
}

func FuzzReadPlan(f *testing.F) {
	f.Add(`{"schema":"acmeauthz-plan/1","steps":[{"url":"https://ca.test/a/1","action":"deactivate"}]}`)
	f.Add(`{"schema":"acmeauthz-plan/1","directory":"https://ca.test/directory","account":"https://ca.test/acme/acct/1","steps":[{"url":"https://evil.test/1","action":"deactivate"}]}`)
	f.Fuzz(func(t *testing.T, document string) {
		plan, err := authz.ReadPlan(strings.NewReader(document))
		if err != nil {
			return
		}
		ca := fakeca.New(fakeca.Config{})
		plan.Directory, plan.Account = ca.DirectoryURL(), string(ca.Client().KID)
		for range (&authz.Manager{Client: ca.Client()}).Apply(t.Context(), plan) {
		}
		for _, r := range ca.Requests() {
			u, err := url.Parse(r.URL)
			require.NoError(t, err)
			require.Equal(t, "ca.test", strings.TrimSuffix(strings.ToLower(u.Host), ":443"), r.URL)
		}
	})
}

// A run that ends between its request and its entry is continued: what the
// journal has as begun is read, and only then, if need be, done.
func TestJournalResumes(t *testing.T) {
	for _, tt := range []struct {
		name    string
		arrived bool
		posts   int
	}{{"the request arrived", true, 1}, {"it did not", false, 2}} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				killed := context.CancelFunc(func() {})
				ca := fakeca.New(fakeca.Config{Intercept: intercept(fakeca.Deactivate, func(n int) *fakeca.Answer {
					if n > 1 {
						return nil
					}
					time.Sleep(20 * time.Second) // a request may be long on its way
					killed()
					return &fakeca.Answer{After: tt.arrived, Hang: true}
				})})
				path := filepath.Join(t.TempDir(), "journal")
				url := ca.Add(fakeca.Authorization{})
				run := func(ctx context.Context) ([]authz.Result, error) {
					journal, err := authz.OpenJournal(path)
					require.NoError(t, err)
					defer func() { require.NoError(t, journal.Close()) }()
					m := &authz.Manager{Client: ca.Client(), Policy: old, Journal: journal}
					return gather(t, m.Clear(ctx, authz.URLs(url)))
				}
				ctx, cancel := context.WithCancel(t.Context())
				killed = cancel
				_, err := run(ctx)
				require.ErrorIs(t, err, context.Canceled)
				require.Equal(t, []string{"begin deactivate"}, entriesOf(t, path))

				started := time.Now()
				results, err := run(t.Context())
				require.NoError(t, err)
				require.True(t, results[0].Changed)
				require.Equal(t, 5*time.Second, time.Since(started), "a replica may lag")
				require.Equal(t, tt.posts, ca.Count(fakeca.Deactivate))
				want := []string{"begin deactivate", "end pending", "begin deactivate", "end deactivated"}
				if tt.arrived {
					require.Equal(t, "it is deactivated; the run before had begun that, the journal says", results[0].Decision.Reason)
					want = slices.Delete(want, 1, 3)
				}
				require.Equal(t, want, entriesOf(t, path))

				requests := ca.Total()
				results, err = run(t.Context())
				require.NoError(t, err)
				require.Equal(t, "it was settled before, the journal says", results[0].Decision.Reason)
				require.Equal(t, requests+1, ca.Total(), "the directory")
			})
		})
	}
}

// entriesOf is what a journal tells, without times and names.
func entriesOf(t *testing.T, path string) []string {
	t.Helper()
	journal, err := authz.OpenJournal(path)
	require.NoError(t, err)
	defer func() { require.NoError(t, journal.Close()) }()
	var all []string
	for e, err := range journal.Entries() {
		require.NoError(t, err)
		all = append(all, strings.TrimSpace(string(e.Event)+" "+string(e.Action)+e.Status))
	}
	return all
}

// A validation that succeeds costs nothing, now or in a later run; neither does
// a request that never got to the CA.
func TestWhatCostsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fails := true
		ca := fakeca.New(fakeca.Config{ValidateOK: func(fakeca.Authorization, string) bool { return true },
			Intercept: intercept(fakeca.Deactivate, func(int) *fakeca.Answer {
				if fails {
					return &fakeca.Answer{Hang: true}
				}
				return nil
			})})
		path := filepath.Join(t.TempDir(), "journal")
		solve := func(_ context.Context, a *acme.Authorization) (*acme.Challenge, func(), error) {
			return a.Challenges[0], nil, nil
		}
		run := func(ctx context.Context, m authz.Manager, urls []string) map[authz.Action]int {
			journal, err := authz.OpenJournal(path)
			require.NoError(t, err)
			defer func() { require.NoError(t, journal.Close()) }()
			m.Client, m.Parallelism, m.Journal = ca.Client(), 1, journal
			counts := map[authz.Action]int{}
			for r, err := range m.Clear(ctx, authz.URLs(urls...)) {
				if err == nil {
					counts[r.Decision.Action]++
				}
			}
			return counts
		}
		// Six of a name are finished; with five failures an hour that is no matter.
		for range 2 {
			urls := add(ca, 6, fakeca.Authorization{Identifier: "a.example"})
			require.Equal(t, map[authz.Action]int{authz.ActionFinish: 6}, run(t.Context(), authz.Manager{Policy: old, Solve: solve}, urls))
		}
		// Four begin, one after the other, and the process ends each time.
		urls := add(ca, 4, fakeca.Authorization{Identifier: "b.example"})
		for _, url := range urls {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			run(ctx, authz.Manager{Policy: old}, []string{url})
			cancel()
		}
		fails = false
		require.Equal(t, map[authz.Action]int{authz.ActionDeactivate: 4}, run(t.Context(), authz.Manager{Policy: old}, urls))
		more := add(ca, 1, fakeca.Authorization{Identifier: "b.example"})
		require.Equal(t, map[authz.Action]int{authz.ActionDefer: 1}, run(t.Context(), authz.Manager{Policy: old}, more))
	})
}

// A recorder is a journal that tells what is asked of it, and when.
type recorder struct {
	mu    sync.Mutex
	calls []string
}

func (j *recorder) note(s string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.calls = append(j.calls, s)
}

func (j *recorder) Append(e authz.JournalEntry) error {
	j.note("append " + string(e.Event))
	return nil
}
func (j *recorder) Sync() error { j.note("sync"); return nil }
func (j *recorder) Entries() iter.Seq2[authz.JournalEntry, error] {
	return func(func(authz.JournalEntry, error) bool) {}
}

// What is begun is on the disk before the CA hears of it, and the end before
// the caller does.
func TestJournalComesFirst(t *testing.T) {
	journal := &recorder{}
	ca := fakeca.New(fakeca.Config{Intercept: intercept(fakeca.Deactivate, func(int) *fakeca.Answer { journal.note("request"); return nil })})
	m := &authz.Manager{Client: ca.Client(), Policy: old, Journal: journal}
	for range m.Clear(t.Context(), authz.URLs(ca.Add(fakeca.Authorization{}))) {
		journal.note("result")
	}
	require.Equal(t, []string{"append begin", "sync", "request", "append end", "sync", "result"}, journal.calls)
}

// The CA's limit is kept to, without being told.
func TestProfileLimitsRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := fakeca.New(fakeca.Config{Latency: 50 * time.Millisecond, RequestLimit: 20, RequestBurst: 1})
		m := &authz.Manager{Client: ca.Client(), Parallelism: 32, Policy: old, Profiles: profileOf(t, "Pebble")}
		m.Profiles[0].Requests = authz.Rate{PerSecond: 20}
		started := time.Now()
		results, err := gather(t, m.Clear(t.Context(), authz.URLs(add(ca, 200, fakeca.Authorization{})...)))
		require.NoError(t, err)
		for _, r := range results {
			require.True(t, r.Changed, r.Err)
		}
		require.LessOrEqual(t, ca.BusiestSecond(), 20)
		require.Less(t, time.Since(started), 25*time.Second)
	})
}

// A journal that cannot be written ends everything before anything is sent.
func TestJournalThatFails(t *testing.T) {
	ca := fakeca.New(fakeca.Config{})
	journal, err := authz.OpenJournal(filepath.Join(t.TempDir(), "journal"))
	require.NoError(t, err)
	m := &authz.Manager{Client: ca.Client(), Journal: journal}
	require.NoError(t, journal.Close())
	_, err = gather(t, m.Deactivate(t.Context(), authz.URLs(add(ca, 3, fakeca.Authorization{})...)))
	failure, ok := errors.AsType[*authz.JournalError](err)
	require.True(t, ok, err)
	require.NotEmpty(t, failure.Path)
	require.Zero(t, ca.Count(fakeca.Deactivate))
}

// After three refusals a CA is not asked again, unless it ever said yes.
func TestRefusalsEnd(t *testing.T) {
	ca := fakeca.New(fakeca.Config{Behavior: fakeca.StepCA})
	m := &authz.Manager{Client: ca.Client(), Parallelism: 1}
	results, err := gather(t, m.Deactivate(t.Context(), authz.URLs(add(ca, 9, fakeca.Authorization{})...)))
	require.NoError(t, err)
	for _, r := range results {
		require.ErrorIs(t, r.Err, authz.ErrRefused)
	}
	require.Equal(t, 3, ca.Count(fakeca.Deactivate))
}

// What an order tells of its authorizations.
func TestSpareTheLiving(t *testing.T) {
	const ready = "its order is ready and can still become a certificate"
	for _, tt := range []struct {
		name     string
		behavior fakeca.Behavior
		statuses []string // of the order's two authorizations
		run      authz.RunState
		created  time.Duration // ago; 0 is not known
		policy   authz.Policy
		actions  []authz.Action
		reason   string // of the last
		reads    int    // of authorizations
	}{
		{name: "ready: one read for the order", statuses: []string{"valid", "valid"}, actions: []authz.Action{authz.ActionSpare, authz.ActionSpare}, reason: ready},
		{name: "ready, and its client has ended", statuses: []string{"valid", "valid"}, run: authz.RunEnded, actions: []authz.Action{authz.ActionSpare, authz.ActionSpare}, reason: ready},
		{name: "ready at OpenBao, where it may hide some", behavior: fakeca.OpenBao, statuses: []string{"valid", "valid"},
			actions: []authz.Action{authz.ActionNone, authz.ActionNone}, reason: "it is valid", reads: 2},
		{name: "pending, and its client at work", statuses: []string{"valid", "pending"}, run: authz.RunActive, created: 50 * time.Hour,
			actions: []authz.Action{authz.ActionNone, authz.ActionSpare}, reason: "the client that made its order is at work", reads: 2},
		{name: "pending and young", statuses: []string{"valid", "pending"}, created: 10 * time.Minute,
			actions: []authz.Action{authz.ActionNone, authz.ActionSpare}, reason: "its order is pending and only 10m0s old", reads: 2},
		{name: "pending and young by its expiry", statuses: []string{"valid", "pending"},
			actions: []authz.Action{authz.ActionNone, authz.ActionSpare}, reason: "its order is pending and only 0s old", reads: 2},
		{name: "pending, young, left behind", statuses: []string{"valid", "pending"}, created: 10 * time.Minute, run: authz.RunEnded,
			actions: []authz.Action{authz.ActionNone, authz.ActionDeactivate}, reason: "this CA deactivates at once", reads: 2},
		{name: "pending and old", statuses: []string{"valid", "pending"}, created: 2 * time.Hour,
			actions: []authz.Action{authz.ActionNone, authz.ActionDeactivate}, reason: "this CA deactivates at once", reads: 2},
		{name: "pending, young, but not by the policy", statuses: []string{"valid", "pending"}, created: 10 * time.Minute, policy: authz.Policy{KeepYounger: 5 * time.Minute},
			actions: []authz.Action{authz.ActionNone, authz.ActionDeactivate}, reason: "this CA deactivates at once", reads: 2},
		{name: "invalid: nobody needs the other", statuses: []string{"invalid", "pending"}, run: authz.RunActive,
			actions: []authz.Action{authz.ActionNone, authz.ActionDeactivate}, reason: "this CA deactivates at once", reads: 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ca := fakeca.New(fakeca.Config{Behavior: tt.behavior})
				order, err := ca.Client().AuthorizeOrder(t.Context(), acme.DomainIDs("a.example", "b.example"))
				require.NoError(t, err)
				for i, status := range tt.statuses {
					ca.SetStatus(order.AuthzURLs[i], status)
				}
				known := authz.KnownOrder{URL: order.URI, Run: tt.run}
				if tt.created > 0 {
					known.Created = time.Now().Add(-tt.created)
				}
				m := &authz.Manager{Client: ca.Client(), Parallelism: 1, Policy: tt.policy,
					KnownOrders: func(string) []authz.KnownOrder { return []authz.KnownOrder{known} }}
				results, err := gather(t, m.Clear(t.Context(), authz.URLs(order.AuthzURLs...)))
				require.NoError(t, err)
				var actions []authz.Action
				for _, r := range results {
					require.NoError(t, r.Err)
					actions = append(actions, r.Decision.Action)
				}
				require.Equal(t, tt.actions, actions)
				require.Equal(t, tt.reason, results[1].Decision.Reason)
				if tt.actions[1] == authz.ActionSpare {
					require.Equal(t, []string{order.URI}, results[1].Decision.Orders)
				}
				require.Equal(t, tt.reads, ca.Count(fakeca.Read))
			})
		})
	}
}

// A log may name any order beside an authorization: only the order itself is
// believed.
func TestOrderOfAnother(t *testing.T) {
	ca := fakeca.New(fakeca.Config{})
	order, err := ca.Client().AuthorizeOrder(t.Context(), acme.DomainIDs("a.example"))
	require.NoError(t, err)
	ca.SetStatus(order.AuthzURLs[0], "valid")
	url := ca.Add(fakeca.Authorization{Expires: time.Now().Add(100 * time.Hour)})
	for _, orderURL := range []string{ca.URL() + "/acme/order/1/404", "https://elsewhere.example/order/1", order.URI} {
		m := &authz.Manager{Client: ca.Client(), KnownOrders: authz.IndexOrders(authz.Order{URL: orderURL, Authorizations: []string{url}})}
		plan, err := m.Plan(t.Context(), authz.URLs(url))
		require.NoError(t, err)
		require.Equal(t, authz.ActionDeactivate, plan.Steps[0].Action)
	}
	for _, r := range ca.Requests() {
		require.NotContains(t, r.URL, "elsewhere.example")
	}
}

// newOrder makes an order of n names at the fake CA.
func newOrder(t testing.TB, client *acme.Client, i, n int) *acme.Order {
	t.Helper()
	var names []string
	for k := range n {
		names = append(names, fmt.Sprintf("n%d-%d.example", i, k))
	}
	o, err := client.AuthorizeOrder(t.Context(), acme.DomainIDs(names...))
	require.NoError(t, err)
	return o
}
