package authz

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"time"
)

// PlanSchema is the schema of a plan's JSON form. Members may be added to it.
const PlanSchema = "acmeauthz-plan/1"

// A Plan is what [Manager.Clear] would do, and what that would cost. Written
// with encoding/json it can be looked at, and applied later; [ReadPlan] reads
// it.
type Plan struct {
	Schema    string        `json:"schema"`    // PlanSchema
	Made      time.Time     `json:"made"`      // when
	CA        string        `json:"ca"`        // the name of the CA's profile
	Directory string        `json:"directory"` // its URL
	Account   string        `json:"account"`   // its URL
	Finished  time.Time     `json:"finished"`  // when the last change can have been made, by the failure budget and the CA's request limit
	Failures  int           `json:"failures"`  // how many failed validations the CA counts for all of it, at most
	Orders    []string      `json:"orders"`    // that become invalid, as far as they are known
	Steps     []PlannedStep `json:"steps"`     // one for each authorization, in the order of their URLs
}

// A PlannedStep is what a [Plan] has for one authorization.
type PlannedStep struct {
	URL        string    `json:"url"`
	Type       string    `json:"type,omitempty"`       // of the identifier
	Identifier string    `json:"identifier,omitempty"` // its value
	Wildcard   bool      `json:"wildcard,omitempty"`
	Status     string    `json:"status,omitempty"` // as read
	Expires    time.Time `json:"expires,omitzero"`
	Action     Action    `json:"action,omitempty"`
	Reason     string    `json:"reason,omitempty"`
	At         time.Time `json:"at,omitzero"` // as Decision.At
	Orders     []string  `json:"orders,omitempty"`
	Failures   int       `json:"failures,omitempty"`
	Error      string    `json:"error,omitempty"` // why it could not be read
}

// Count is how many of the plan's steps have that action.
func (p *Plan) Count(a Action) int {
	n := 0
	for _, step := range p.Steps {
		if step.Action == a {
			n++
		}
	}
	return n
}

// Plan reads each authorization, and says what Clear would do about it now,
// without changing anything. What is deferred has the time when there will be
// budget for it, one after the other. The whole plan is kept in memory.
//
// Its errors are those of [Manager.Clear]; what is wrong with one
// authorization is in its step.
func (m *Manager) Plan(ctx context.Context, urls iter.Seq2[string, error]) (*Plan, error) {
	s, closeIdle, err := m.openToChange(ctx)
	if err != nil {
		return nil, err
	}
	defer closeIdle()
	s.spent.books = true
	p := &Plan{
		Schema: PlanSchema, Made: time.Now().UTC().Truncate(time.Second), CA: s.profile.Name,
		Directory: m.Client.DirectoryURL, Account: s.kid, Orders: []string{}, Steps: []PlannedStep{},
	}
	orders := make(map[string]bool)
	for r, err := range fanned(ctx, s, urls, (*session).plan) {
		if err != nil {
			return nil, err
		}
		p.add(r, orders)
	}
	p.Orders = append(p.Orders, slices.Sorted(maps.Keys(orders))...)
	p.finish(s.profile)
	return p, nil
}

// plan is Plan for one URL.
func (s *session) plan(ctx context.Context, url string) (Result, error) {
	if settled, _ := s.past.before(url, true); settled {
		return settledBefore(url), nil
	}
	if d, over, err := s.overByOrder(ctx, url); over || err != nil {
		return Result{URL: url, Decision: d, Err: err}, err
	}
	r := s.list(ctx, url)
	if r.Err == nil {
		r.Decision, r.Err = s.decide(ctx, r.Authorization, s.spent, "")
	}
	return r, r.Err
}

// add adds a step, and the orders that it ends.
func (p *Plan) add(r Result, orders map[string]bool) {
	step := PlannedStep{
		URL: r.URL, Status: r.Before, Action: r.Decision.Action, Reason: r.Decision.Reason, At: r.Decision.At.UTC(),
		Orders: r.Decision.Orders, Failures: r.Decision.Failures,
	}
	if a := r.Authorization; a != nil {
		step.Type, step.Identifier, step.Wildcard, step.Expires = a.Identifier.Type, a.Identifier.Value, a.Wildcard, a.Expires.UTC()
	}
	switch {
	case errors.Is(r.Err, ErrGone):
		step.Action, step.Reason = ActionNone, "the CA does not know it: it expired, was purged, or never was"
	case errors.Is(r.Err, ErrNotOurs):
		step.Action, step.Reason = ActionNone, "it belongs to another account"
	case r.Err != nil:
		step.Error = r.Err.Error()
	}
	if step.Action == ActionDeactivate || step.Action == ActionAnswer || step.Action == ActionDefer {
		for _, url := range step.Orders {
			orders[url] = true
		}
	}
	p.Failures += step.Failures
	p.Steps = append(p.Steps, step)
}

// finish works out when the last change can have been made.
func (p *Plan) finish(profile *Profile) {
	p.Finished = p.Made
	requests := 0
	for _, step := range p.Steps {
		switch {
		case step.Action.Changes():
			requests += 2
		case step.Action == ActionDefer && step.At.After(p.Finished):
			p.Finished = step.At
		}
	}
	if perSecond := profile.Requests.PerSecond; perSecond > 0 {
		working := time.Duration(float64(requests) / perSecond * float64(time.Second))
		if end := p.Made.Add(working).Truncate(time.Second); end.After(p.Finished) {
			p.Finished = end
		}
	}
}

// maxPlan is the most bytes that ReadPlan reads.
const maxPlan = 1 << 30

// ReadPlan reads a plan in JSON form.
func ReadPlan(r io.Reader) (*Plan, error) {
	var p Plan
	if err := json.NewDecoder(io.LimitReader(r, maxPlan)).Decode(&p); err != nil {
		return nil, fmt.Errorf("authz: plan: %w", err)
	}
	if p.Schema != PlanSchema {
		return nil, fmt.Errorf("authz: plan: its schema is %q, want %q", p.Schema, PlanSchema)
	}
	for _, step := range p.Steps {
		if step.URL == "" {
			return nil, errors.New("authz: plan: a step has no url")
		}
	}
	return &p, nil
}

// ErrOtherPlan means that a plan is for another account, or another CA, than
// the Manager's.
var ErrOtherPlan = errors.New("authz: plan is for another account")

// Apply does what a plan says, step by step. Each authorization that the plan
// changes is read again first: what is over by now is left alone, what a
// client needs by now is spared, and the budget is that of now, so that a plan
// which is applied twice, or late, does no harm. A step that was deferred is
// decided anew if its time has come. The other steps are not asked about: they
// come back with the plan's decision.
//
// Sequences and errors are as in [Manager.Clear]; [ErrOtherPlan] comes before
// anything is changed.
func (m *Manager) Apply(ctx context.Context, p *Plan) iter.Seq2[Result, error] {
	return func(yield func(Result, error) bool) {
		s, closeIdle, err := m.openToChange(ctx)
		if err == nil {
			defer closeIdle()
			if p.Directory != m.Client.DirectoryURL || p.Account != s.kid {
				err = fmt.Errorf("%w: %s at %s", ErrOtherPlan, p.Account, p.Directory)
			}
		}
		if err != nil {
			yield(Result{}, err)
			return
		}
		fanOut(ctx, m.workers(), p.steps(), judged(s, (*session).apply), s.keep())(yield)
	}
}

func (p *Plan) steps() iter.Seq2[PlannedStep, error] {
	return func(yield func(PlannedStep, error) bool) {
		for _, step := range p.Steps {
			if !yield(step, nil) {
				return
			}
		}
	}
}

// apply is Apply for one step.
func (s *session) apply(ctx context.Context, step PlannedStep) (Result, error) {
	planned := Decision{Action: step.Action, Reason: step.Reason, At: step.At, Orders: step.Orders, Failures: step.Failures}
	switch {
	case step.Action.Changes():
		planned.Action = step.Action
	case step.Action == ActionDefer && !time.Now().Before(step.At):
		planned.Action = ""
	default:
		return Result{URL: step.URL, Before: step.Status, Decision: planned}, nil
	}
	r := s.changing(ctx, step.URL, true, func(s *session, ctx context.Context, url string) Result {
		return s.clear(ctx, url, planned.Action)
	})
	return r, r.Err
}
