package authz

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"iter"
	"slices"
	"sync"
	"time"

	"golang.org/x/crypto/acme"
)

// Clear settles each pending authorization in the way that costs least at this
// CA: it is finished where Solve can, left where it ends by itself and nothing
// is gained, deactivated within the CA's limit on failures, answered where
// that alone settles it; where nothing does it waits. What a client may still
// need is spared. Result.Decision says what was chosen and why, and it never
// fails an authorization to choose nothing: its Err is then nil.
//
// What waits for budget is not waited for (ActionDefer): call Clear again at
// that time, with the same Journal. m.Policy forces a method or lifts a
// protection.
//
// Sequences and errors are as in [Manager.List]; a [*JournalError] ends the
// sequence, too.
func (m *Manager) Clear(ctx context.Context, urls iter.Seq2[string, error]) iter.Seq2[Result, error] {
	return m.changes(ctx, urls, true, func(s *session, ctx context.Context, url string) Result {
		return s.clear(ctx, url, "")
	})
}

// clear is Clear for one URL, with the action that a plan has for it.
func (s *session) clear(ctx context.Context, url string, planned Action) Result {
	if d, over, err := s.overByOrder(ctx, url); over || err != nil {
		return Result{URL: url, Decision: d, Err: err}
	}
	r := s.list(ctx, url)
	if r.Err != nil {
		return r
	}
	if r.Decision, r.Err = s.decide(ctx, r.Authorization, s.spent, planned); r.Err == nil {
		s.perform(ctx, &r)
	}
	return r
}

// overByOrder decides without reading the authorization if an order that lists
// it shows that it is not pending: then one read does for all of the order.
func (s *session) overByOrder(ctx context.Context, url string) (Decision, bool, error) {
	if s.profile.OrderHides {
		return Decision{}, false, nil
	}
	for _, known := range s.knownOrders(url) {
		if known.URL == "" {
			continue
		}
		o, err := s.cachedOrder(ctx, known.URL)
		if err != nil {
			return Decision{}, false, err
		}
		if !slices.Contains(o.Authorizations, url) {
			continue // the order is another one, whatever was said of it
		}
		switch o.Status {
		case acme.StatusValid:
			return Decision{Action: ActionNone, Reason: "its order is valid: none of it is pending"}, true, nil
		case acme.StatusReady, acme.StatusProcessing:
			return Decision{Action: ActionSpare, At: o.Expires, Orders: []string{known.URL},
				Reason: "its order is " + o.Status + " and can still become a certificate"}, true, nil
		}
	}
	return Decision{}, false, nil
}

// perform does what was decided. Where the CA turns out to be another than
// its profile says, or the solver cannot, it decides once more.
func (s *session) perform(ctx context.Context, r *Result) {
	for range 3 { // a solver that cannot, then a CA that does not
		action := r.Decision.Action
		if !action.Changes() {
			return
		}
		s.change(ctx, r, action, r.Decision.Failures)
		_, failed := errors.AsType[solveError](r.Err)
		unable := action == ActionFinish && (failed || errors.Is(r.Err, ErrNoChallenge))
		if !unable && !s.disappointed(action, r.Err) || s.m.Policy.Method == action || ctx.Err() != nil {
			return // done, or as told, and Err says what became of it
		}
		s.refund(r, action)
		s.another(ctx, r, unable)
	}
}

// disappointed reports whether a deactivation showed that this CA never
// deactivates.
func (s *session) disappointed(action Action, err error) bool {
	if action != ActionDeactivate || !errors.Is(err, ErrRefused) && !errors.Is(err, ErrIgnored) {
		return false
	}
	effect := s.deactivation()
	return effect == EffectRefused || effect == EffectIgnored
}

// another decides once more, after the first choice turned out not to work.
func (s *session) another(ctx context.Context, r *Result, unable bool) {
	why := r.Err
	again := *s.m
	if unable {
		again.Solve = nil
	}
	second := s.with(&again)
	if r.Decision, r.Err = second.decide(ctx, r.Authorization, s.spent, ""); r.Err == nil && (!unable || !errors.Is(why, ErrNoChallenge)) {
		r.Decision.Reason = fmt.Sprintf("%s (%v)", r.Decision.Reason, why)
	}
}

// refund gives back what an action did not cost in the end.
func (s *session) refund(r *Result, action Action) {
	if s.profile.counts(action) {
		s.spent.refund(s.profile.Failures, s.kid, r.Authorization)
	}
}

// change does one action, with an entry in the journal before and after.
func (s *session) change(ctx context.Context, r *Result, action Action, failures int) {
	if r.Err = s.begin(r, action, failures); r.Err != nil {
		return
	}
	switch action {
	case ActionDeactivate:
		s.deactivateRead(ctx, r)
	case ActionAnswer:
		s.validateRead(ctx, r, nil)
	case ActionFinish:
		s.finish(ctx, r)
	}
	if err := s.end(ctx, r); err != nil {
		r.Err = err
	}
}

func (s *session) finish(ctx context.Context, r *Result) {
	if s.m.Solve == nil {
		r.Err = errors.New("authz: nothing can be finished without Manager.Solve")
		return
	}
	s.validateRead(ctx, r, s.m.Solve)
	if r.Authorization.Status == acme.StatusValid {
		s.refund(r, ActionFinish)
	}
}

// begin writes down what is about to be done, on the disk.
func (s *session) begin(r *Result, action Action, failures int) error {
	if s.m.Journal == nil {
		return nil
	}
	e := entry(EventBegin, r.URL, s.kid, r.Authorization)
	e.Action, e.Failures = action, failures
	err := s.m.Journal.Append(e)
	if err == nil {
		err = s.m.Journal.Sync()
	}
	return journalError(err)
}

// end writes down the outcome, unless it is open: then the next run looks. It
// is on the disk before the result is handed out.
func (s *session) end(ctx context.Context, r *Result) error {
	if s.m.Journal == nil || r.Err != nil && (ctx.Err() != nil || open(ctx, r.Err) && !outcomeKnown(r.Err)) {
		return nil
	}
	e := entry(EventEnd, r.URL, s.kid, nil)
	e.Status = r.Authorization.Status
	if r.Err != nil {
		e.Error = r.Err.Error()
	}
	return journalError(s.m.Journal.Append(e))
}

// outcomeKnown reports whether an error without an HTTP status tells what
// became of the authorization.
func outcomeKnown(err error) bool {
	_, failed := errors.AsType[*acme.AuthorizationError](err)
	_, unsolved := errors.AsType[solveError](err)
	return failed || unsolved || errors.Is(err, ErrIgnored) || errors.Is(err, ErrPending) || errors.Is(err, ErrNoChallenge) || errors.Is(err, ErrForeign)
}

// journalError makes any journal's error one that ends a sequence.
func journalError(err error) error {
	if _, ok := errors.AsType[*JournalError](err); ok || err == nil {
		return err
	}
	return &JournalError{Path: "(not a file)", Err: err}
}

// A past is what the journal says of earlier runs. The zero past is empty.
type past struct {
	seed     maphash.Seed
	read     time.Time // when the journal was
	mu       sync.Mutex
	settled  map[uint64]struct{} // by hash of the URL: what is over
	valid    map[uint64]struct{} // and what is valid, which can be given up
	inFlight map[uint64]begun
}

// A begun change is one without an outcome.
type begun struct {
	inFlight      bool
	failures      int                 // that were charged for it
	authorization *acme.Authorization // its identifier
}

// remember reads the journal: what is settled, what was in flight, and what
// was spent.
func (s *session) remember() error {
	if s.m.Journal == nil {
		return nil
	}
	p := &s.past
	p.read = time.Now()
	p.seed, p.inFlight = maphash.MakeSeed(), make(map[uint64]begun)
	p.settled, p.valid = make(map[uint64]struct{}), make(map[uint64]struct{})
	for e, err := range s.m.Journal.Entries() {
		if err != nil {
			return journalError(err)
		}
		if e.Account == s.kid {
			s.rememberEntry(e)
		}
	}
	return nil
}

func (s *session) rememberEntry(e JournalEntry) {
	p, k := &s.past, maphash.String(s.past.seed, e.URL)
	switch e.Event {
	case EventBegin:
		p.inFlight[k] = begun{true, e.Failures, e.authorization()}
		if e.Failures > 0 {
			s.spent.charge(s.profile.Failures, s.kid, e.authorization(), e.Time, e.Failures)
		}
	case EventEnd:
		if e.Error == "" && (e.Status == acme.StatusPending || e.Status == acme.StatusValid) {
			s.uncharge(p.inFlight[k])
		}
		delete(p.inFlight, k)
		switch {
		case e.Status == acme.StatusValid:
			p.valid[k] = struct{}{}
		case e.Status != "" && final(e.Status):
			p.settled[k] = struct{}{}
		}
	}
}

func (e *JournalEntry) authorization() *acme.Authorization {
	return &acme.Authorization{URI: e.URL, Identifier: acme.AuthzID{Type: e.Type, Value: e.Identifier}, Wildcard: e.Wildcard}
}

// before is what the journal knows of a URL: whether it is settled, for somebody
// who wants it over or, with valid, would have it valid as well. One that was in
// flight is told of once.
func (p *past) before(url string, valid bool) (settled bool, inFlight begun) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.settled) == 0 && len(p.valid) == 0 && len(p.inFlight) == 0 {
		return false, begun{}
	}
	k := maphash.String(p.seed, url)
	_, settled = p.settled[k]
	if !settled && valid {
		_, settled = p.valid[k]
	}
	inFlight = p.inFlight[k]
	delete(p.inFlight, k)
	return settled, inFlight
}

// changes is results for calls that change something; what is valid is settled for
// those that do not want to give it up.
func (m *Manager) changes(ctx context.Context, urls iter.Seq2[string, error], valid bool, do func(*session, context.Context, string) Result) iter.Seq2[Result, error] {
	return func(yield func(Result, error) bool) {
		s, closeIdle, err := m.openToChange(ctx)
		if err != nil {
			yield(Result{}, err)
			return
		}
		defer closeIdle()
		fanned(ctx, s, urls, func(s *session, ctx context.Context, url string) (Result, error) {
			r := s.changing(ctx, url, valid, do)
			return r, r.Err
		})(yield)
	}
}

// openToChange is open, and the journal read.
func (m *Manager) openToChange(ctx context.Context) (*session, func(), error) {
	s, closeIdle, err := m.open(ctx)
	if err == nil {
		if err = s.remember(); err != nil {
			closeIdle()
		}
	}
	return s, closeIdle, err
}

// changing does something with a URL unless the journal says that it was done.
// What was in flight when an earlier run ended is looked at when the CA must
// know what became of it.
func (s *session) changing(ctx context.Context, url string, valid bool, do func(*session, context.Context, string) Result) Result {
	settled, before := s.past.before(url, valid)
	switch {
	case settled:
		return settledBefore(url)
	case !before.inFlight:
		return do(s, ctx, url)
	}
	// When the request went out is not known, but not after the journal was
	// opened: its lock was the other process's until then.
	if err := sleep(ctx, time.Until(s.past.read.Add(s.profile.Lag))); err != nil {
		return Result{URL: url, Err: err}
	}
	r := s.list(ctx, url)
	switch {
	case r.Err != nil:
		return r
	case final(r.Before) && (valid || r.Before != acme.StatusValid):
		r.Changed = true // by the run before
		r.Decision = Decision{Action: ActionNone, Reason: fmt.Sprintf("it is %s; the run before had begun that, the journal says", r.Before)}
		r.Err = s.end(ctx, &r)
		return r
	}
	// The request never got there: the CA has not counted it.
	if r.Err = s.end(ctx, &r); r.Err != nil {
		return r
	}
	s.uncharge(before)
	return do(s, ctx, url)
}

// uncharge gives back what was charged for a change that cost nothing.
func (s *session) uncharge(b begun) {
	for range b.failures {
		s.spent.refund(s.profile.Failures, s.kid, b.authorization)
	}
}

func settledBefore(url string) Result {
	return Result{URL: url, Decision: Decision{Action: ActionNone, Reason: "it was settled before, the journal says"}}
}
