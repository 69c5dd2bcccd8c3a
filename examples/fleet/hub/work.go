package hub

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/acmeauthz/acmeauthz/account"
	"github.com/acmeauthz/acmeauthz/authz"
	"github.com/acmeauthz/acmeauthz/authz/solver"
	"github.com/acmeauthz/acmeauthz/examples/fleet/wire"
	"github.com/acmeauthz/acmeauthz/logparse"
	"github.com/nats-io/nats.go"
	"golang.org/x/crypto/acme"
	"golang.org/x/time/rate"
)

// What is done about the authorizations of an account.
//
//	due    something is new in the history, or something's time has come
//	job    the URLs to ask about, and what is known of their orders: made beside the history
//	sweep  a Manager plans them, or clears them, with the journal behind the fence: beside everything else
//	done   what the CA said goes into ACCOUNTS, so that the next owner knows it, too
//
// An authorization is looked at again when its time has come, not at every sweep.

// maxSweep is how many authorizations one sweep looks at: a hostile log can name any number.
const maxSweep = 10_000

// A sweeper remembers what was planned for an account's authorizations. It belongs to the goroutine of its account.
type sweeper struct {
	changed bool // there is something new in the history
	news    bool // the state is to be written

	planned map[string]plan   // by URL
	settled map[string]string // status by URL; of all owners
	work    wire.Work
	lines   int64     // of what the CA said
	dropped int       // authorizations, as the account has its limit
	next    time.Time // when something is to be looked at again
}

// A plan is what was decided about an authorization, and when to look again.
type plan struct {
	action authz.Action
	again  time.Time
	failed bool
}

// load finds out what earlier owners have settled.
func (s *sweeper) load(o *owned) {
	s.planned, s.settled, s.changed, s.news = make(map[string]plan), make(map[string]string), true, true
	var recalled logparse.History
	for e := range o.journal.Entries() { // they are in memory
		if i := slices.Index(settledStatuses, e.Status); e.Event == authz.EventEnd && i >= 0 {
			s.settled[e.URL] = settledStatuses[i]
			o.recall(&recalled, e)
		}
	}
	if recalled.Records() > 0 {
		o.history.Merge(&recalled)
		o.changed = true
	}
}

// settledStatuses are those of an authorization that need no more work, whatever became of the attempt.
var settledStatuses = []string{acme.StatusDeactivated, acme.StatusValid, acme.StatusInvalid}

// recall tells the history what the journal knows: an owner that was killed may not have come to that.
func (o *owned) recall(to *logparse.History, e authz.JournalEntry) {
	if l, known := o.history.Life(e.URL); !known || l.Over() {
		return
	}
	to.Add(logparse.Event{
		Kind: logparse.AuthorizationSeen, Time: e.Time, Client: "fleet", Account: o.account, Host: "hub/journal",
		Place:         logparse.Place{File: "hub/journal", Line: 1},
		Authorization: &logparse.Authorization{URL: e.URL, Status: e.Status},
	})
}

// due reports whether there may be something to do.
func (s *sweeper) due(o *owned) bool {
	return s.changed || !s.next.IsZero() && time.Now().After(s.next)
}

// told is what the state says of the work.
func (s *sweeper) told(o *owned) wire.Work {
	p := o.hub.config.policy(o.account)
	w := s.work
	w.Policy, w.Apply, w.Key = p.Policy, *p.Apply, o.hub.keys.of(o.account) != nil
	w.Planned, w.Failed, w.Deferred, w.DeferredUntil, w.Next = make(map[string]int), 0, 0, time.Time{}, s.next
	for _, plan := range s.planned {
		if plan.failed {
			w.Failed++
			continue
		}
		w.Planned[string(plan.action)]++
		if plan.action == authz.ActionDefer {
			w.Deferred++
			if plan.again.After(w.DeferredUntil) {
				w.DeferredUntil = plan.again.UTC()
			}
		}
	}
	w.Settled = len(s.settled)
	if o.heavy && w.Problem == "" {
		w.Problem = fmt.Sprintf("what logs tell of it takes more than %d bytes, which is the limit (--max-authorizations); more is left out", o.maxWeight())
	}
	if s.dropped > 0 && w.Problem == "" {
		w.Problem = fmt.Sprintf("it has %d authorizations, which is the limit (--max-authorizations); others were told of %d times, and are left out",
			o.hub.config.maxAuthorizations(), s.dropped)
	}
	return w
}

// A sweepResult is what a sweep came to since the last one.
type sweepResult struct {
	results []authz.Result
	planned []authz.PlannedStep
	ca      string
	err     error
}

// job is a sweep of what is due, or nil if there is nothing to ask. It must not touch the history.
func (s *sweeper) job(o *owned) func(context.Context, func(sweepResult)) {
	s.changed = false
	policy, a := o.hub.config.policy(o.account), o.hub.keys.of(o.account)
	s.work.Problem = ""
	switch {
	case policy.Policy == Leave || o.account == "":
		return nil
	case a == nil:
		s.work.Problem = "no hub has its key: put its account into the directory of --accounts on one"
	case a.Directory == "":
		s.work.Problem = "its key is there, but not the URL of its CA's directory"
	}
	if s.work.Problem != "" {
		s.news = true
		s.next = time.Now().Add(min(time.Minute, o.hub.config.sweepEvery())) // a key may come
		return nil
	}
	names, err := authz.ParseNames(policy.Names...)
	if err != nil {
		s.work.Problem, s.news = err.Error(), true
		return nil
	}
	urls, orders := s.choose(o, policy, names)
	if len(urls) == 0 {
		return nil
	}
	m := o.manager(a, policy, orders)
	return func(ctx context.Context, tell func(sweepResult)) { sweep(ctx, o, m, policy, names, urls, tell) }
}

// choose returns the URLs to look at, and what is known of their orders.
func (s *sweeper) choose(o *owned, policy Policy, names authz.Names) (urls []string, orders map[string]authz.KnownOrder) {
	now := time.Now()
	orders = make(map[string]authz.KnownOrder)
	open := make(map[string]bool)
	s.next = time.Time{}
	for _, l := range inTurns(o.history.Lives()) {
		if l.URL == "" || len(l.URL) > maxURL || s.over(l.URL, policy) || !wanted(l, policy, names) {
			continue
		}
		open[l.URL] = true
		if p, ok := s.planned[l.URL]; ok && now.Before(p.again) {
			s.wake(p.again)
			continue
		}
		if len(urls) == maxSweep {
			s.wake(now)
			continue
		}
		urls = append(urls, l.URL)
		orders[l.URL] = knownOrder(l)
	}
	maps.DeleteFunc(s.planned, func(url string, _ plan) bool { return !open[url] })
	return urls, orders
}

// maxURL bounds the URLs that are asked about: CAs have shorter ones, and an entry of the journal must fit.
const maxURL = 2 << 10

// over reports whether nothing is left to be done: what is valid can still be given up.
func (s *sweeper) over(url string, policy Policy) bool {
	status, ok := s.settled[url]
	return ok && (status != acme.StatusValid || policy.Policy != Relinquish)
}

// inTurns puts those of different hosts one after the other, so that no host has a sweep for itself.
func inTurns(all []*logparse.Life) []*logparse.Life {
	turns := make([]int, len(all))
	of := make(map[string]int)
	for i, l := range all {
		turns[i] = of[l.Host]
		of[l.Host]++
	}
	order := make([]int, len(all))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(turns[a], turns[b]) })
	sorted := make([]*logparse.Life, len(all))
	for i, k := range order {
		sorted[i] = all[k]
	}
	return sorted
}

// wake notes that something is to be looked at again.
func (s *sweeper) wake(at time.Time) {
	if s.next.IsZero() || at.Before(s.next) {
		s.next = at
	}
}

// wanted reports whether a policy is about an authorization.
func wanted(l *logparse.Life, policy Policy, names authz.Names) bool {
	if policy.Policy == Relinquish {
		id := acme.AuthzID{Type: l.Identifier.Type, Value: l.Identifier.Value}
		return l.Verdict != logparse.Invalid && l.Verdict != logparse.Deactivated && names.Has(&acme.Authorization{Identifier: id, Wildcard: l.Wildcard})
	}
	return l.Verdict == logparse.Leaked || l.Verdict == logparse.Unknown
}

// knownOrder is what the logs tell of an authorization's order.
func knownOrder(l *logparse.Life) authz.KnownOrder {
	o := authz.KnownOrder{URL: l.OrderURL, Created: l.FirstSeen}
	if l.Run != nil {
		o.Run = authz.RunEnded
	}
	return o
}

// manager is one for the account, which cannot act when the account was lost.
func (o *owned) manager(a *account.Account, policy Policy, orders map[string]authz.KnownOrder) *authz.Manager {
	c := o.hub.config
	client := a.Client()
	base := http.DefaultTransport
	if client.HTTPClient != nil && client.HTTPClient.Transport != nil {
		base = client.HTTPClient.Transport
	}
	if c.Transport != nil {
		base = c.Transport
	}
	client.HTTPClient = &http.Client{Transport: o.lease.guard(base), Timeout: 30 * time.Second}
	client.UserAgent = fmt.Sprintf("acmeauthz-fleet/%s hub/%s epoch/%d", c.Version, c.Name, o.lease.epoch)
	m := &authz.Manager{
		Client: client, Parallelism: c.Parallelism, Profiles: c.Profiles, Journal: o.journal, Logger: o.log,
		Policy: authz.Policy{KeepYounger: c.KeepYounger},
		KnownOrders: func(url string) []authz.KnownOrder {
			if known, ok := orders[url]; ok {
				return []authz.KnownOrder{known}
			}
			return nil
		},
	}
	switch policy.Policy {
	case Deactivate:
		m.Policy.Method = authz.ActionDeactivate
	case Finish:
		m.Policy.Method = authz.ActionFinish
		m.Solve = policy.solve(a)
	}
	return m
}

// solve answers challenges as the policy says.
func (p Policy) solve(a *account.Account) solver.Func {
	var all []solver.Func
	if p.Webroot != "" {
		all = append(all, (&solver.Webroot{Key: a.Key, Dir: p.Webroot}).Solve)
	}
	if len(p.Hook) > 0 {
		all = append(all, (&solver.Hook{Key: a.Key, Type: "dns-01", Auth: p.Hook, Cleanup: p.Cleanup}).Solve)
	}
	return solver.First(all...)
}

// limiters are what paces all accounts of a hub at one CA, which counts requests by address.
type limiters struct {
	mu sync.Mutex
	of map[string]*rate.Limiter // by directory URL; nil where there is no limit
}

// limiter is the one for a CA.
func (l *limiters) limiter(directory string, p *authz.Profile) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	limiter, ok := l.of[directory]
	if !ok {
		if p.Requests.PerSecond > 0 {
			limiter = rate.NewLimiter(rate.Limit(p.Requests.PerSecond), max(p.Requests.Burst, 1))
		}
		if l.of == nil {
			l.of = make(map[string]*rate.Limiter)
		}
		l.of[directory] = limiter
	}
	return limiter
}

// How much a sweep does until it tells of it.
const (
	tellAfter = 200
	tellEvery = 2 * time.Second
)

// sweep plans, or does what is planned, and tells of it now and then.
func sweep(ctx context.Context, o *owned, m *authz.Manager, policy Policy, names authz.Names, urls []string, tell func(sweepResult)) {
	profile, err := m.Profile(ctx)
	if err != nil {
		tell(sweepResult{err: err})
		return
	}
	tell(sweepResult{ca: profile.Name})
	m.Limiter = o.hub.limiters.limiter(m.Client.DirectoryURL, profile)
	var results iter.Seq2[authz.Result, error]
	switch {
	case policy.Policy == Relinquish && *policy.Apply:
		results = m.Relinquish(ctx, names, authz.URLs(urls...))
	case policy.Policy == Relinquish:
		results = planToRelinquish(m.List(ctx, authz.URLs(urls...)))
	case *policy.Apply:
		results = m.Clear(ctx, authz.URLs(urls...))
	default:
		plan, err := m.Plan(ctx, authz.URLs(urls...))
		if err != nil {
			tell(sweepResult{err: err})
			return
		}
		for _, step := range plan.Steps {
			o.tell(stepResult(step), false)
		}
		tell(sweepResult{planned: plan.Steps})
		return
	}
	var some sweepResult
	told := time.Now()
	for result, err := range results {
		if err != nil {
			some.err = err
			break
		}
		some.results = append(some.results, result)
		o.tell(toldResult(result), *policy.Apply)
		if len(some.results) == tellAfter || time.Since(told) > tellEvery {
			tell(some)
			some, told = sweepResult{}, time.Now()
		}
	}
	tell(some)
}

// planToRelinquish decides about what was only read.
func planToRelinquish(read iter.Seq2[authz.Result, error]) iter.Seq2[authz.Result, error] {
	return func(yield func(authz.Result, error) bool) {
		for r, err := range read {
			r.Decision = authz.Decision{Action: authz.ActionNone, Reason: "it is not valid"}
			if r.Before == acme.StatusValid {
				r.Decision = authz.Decision{Action: authz.ActionDeactivate, Reason: "it is valid for a name that was given up"}
			}
			if !yield(r, err) {
				return
			}
		}
	}
}

func toldResult(r authz.Result) wire.Result {
	w := wire.Result{URL: r.URL, Before: r.Before, Changed: r.Changed, Action: string(r.Decision.Action), Reason: r.Decision.Reason, At: r.Decision.At}
	if a := r.Authorization; a != nil {
		w.Identifier, w.Wildcard, w.After = a.Identifier.Value, a.Wildcard, a.Status
	}
	if r.Err != nil {
		w.Error = r.Err.Error()
	}
	return w
}

func stepResult(s authz.PlannedStep) wire.Result {
	return wire.Result{
		URL: s.URL, Identifier: s.Identifier, Wildcard: s.Wildcard, Before: s.Status, After: s.Status, Action: string(s.Action), Reason: s.Reason,
		At: s.At, Error: s.Error,
	}
}

// tell publishes a result for whoever watches. Nothing depends on its arrival.
func (o *owned) tell(w wire.Result, applied bool) {
	w.Schema, w.Time, w.Hub, w.Epoch, w.Account, w.Applied = wire.ResultSchema, time.Now().UTC(), o.hub.config.Name, o.lease.epoch, o.account, applied
	if data, err := json.Marshal(&w); err == nil {
		_, _ = o.hub.js.PublishMsgAsync(&nats.Msg{Subject: wire.ResultSubject(o.token), Data: data})
	}
}

// ended notes that a sweep has ended.
func (s *sweeper) ended() { s.news, s.work.Swept = true, time.Now().UTC() }

// done takes in what a sweep came to.
func (s *sweeper) done(o *owned, r sweepResult) {
	s.news = true
	if r.ca != "" {
		s.work.CA = r.ca
	}
	if r.err != nil {
		s.work.Problem = problem(r.err)
		o.log.Warn("sweep ended", "error", r.err)
		s.wake(time.Now().Add(min(time.Minute, o.hub.config.sweepEvery())))
	}
	var learned logparse.History
	for _, result := range r.results {
		s.result(o, result)
		if e, ok := o.learned(result); ok {
			learned.Add(e)
		}
	}
	for _, step := range r.planned {
		s.plan(o, step.URL, step.Action, step.At, step.Error != "")
	}
	if len(learned.Lives()) > 0 {
		ctx, cancel := context.WithTimeout(o.lease.context, 10*time.Second)
		defer cancel()
		if err := publishHistory(ctx, o.hub.js, o.account, &learned); err != nil {
			o.log.Warn("what the CA said is not kept", "error", err)
			o.history.Merge(&learned) // it is known as long as this hub has the account
			o.changed = true
		}
	}
}

func (s *sweeper) result(o *owned, r authz.Result) {
	if r.Changed || attempted(r) {
		s.settled[r.URL] = r.Authorization.Status
		delete(s.planned, r.URL)
		o.hub.stats.settled.Add(1)
		return
	}
	if r.Err != nil {
		o.hub.stats.failed.Add(1)
	}
	s.plan(o, r.URL, r.Decision.Action, r.Decision.At, r.Err != nil)
}

// attempted reports whether an authorization is over because a validation of it has failed.
func attempted(r authz.Result) bool {
	_, failed := errors.AsType[*acme.AuthorizationError](r.Err)
	return failed && r.Authorization != nil && slices.Contains(settledStatuses, r.Authorization.Status)
}

// leftAlone is how long what ends by itself is left alone, at most: somebody else may have settled it.
const leftAlone = 24 * time.Hour

// plan notes what is to be done about an authorization, and when it is to be looked at again.
func (s *sweeper) plan(o *owned, url string, action authz.Action, at time.Time, failed bool) {
	now := time.Now()
	again := now.Add(o.hub.config.sweepEvery())
	switch {
	case (action == authz.ActionLeave || action == authz.ActionWait) && at.After(now):
		again = slices.MinFunc([]time.Time{at, now.Add(max(leftAlone, o.hub.config.sweepEvery()))}, time.Time.Compare)
	case action == authz.ActionDefer && !at.IsZero(),
		action == authz.ActionSpare && at.After(now) && at.Before(again):
		again = at
	}
	s.planned[url] = plan{action, again, failed}
	s.wake(again)
}

// learned is what the CA said of an authorization, as an event.
func (o *owned) learned(r authz.Result) (logparse.Event, bool) {
	o.work.lines++
	e := logparse.Event{
		Kind: logparse.AuthorizationSeen, Time: time.Now(), Client: "fleet", Account: o.account, Host: "hub/" + o.hub.config.Name,
		Place: logparse.Place{File: fmt.Sprintf("hub/%s:%d", o.hub.config.Name, o.lease.epoch), Line: o.work.lines},
	}
	switch {
	case r.Authorization != nil && (r.Err == nil || attempted(r)):
		a := r.Authorization
		e.Authorization = &logparse.Authorization{
			URL: r.URL, Status: a.Status, Expires: a.Expires, Wildcard: a.Wildcard,
			Identifier: logparse.Identifier{Type: a.Identifier.Type, Value: a.Identifier.Value},
		}
	case errors.Is(r.Err, authz.ErrGone):
		e.Authorization = &logparse.Authorization{URL: r.URL, Status: acme.StatusExpired}
	default:
		return e, false
	}
	return e, e.Authorization.Status != acme.StatusPending
}

// problem says what is wrong, and what to do about it.
func problem(err error) string {
	switch {
	case errors.Is(err, authz.ErrAccount):
		return "the CA does not accept the account: it was deactivated, or the key is another one's"
	case errors.Is(err, authz.ErrUnreachable):
		return "the CA does not answer"
	case errors.Is(err, ErrLost):
		return "the account went to another hub meanwhile"
	}
	text := err.Error()
	return text[:min(len(text), 500)]
}
