package authz

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/crypto/acme"
)

// An Action is what Clear does about an authorization.
type Action string

// The actions of [Manager.Clear] and [Manager.Plan].
const (
	ActionNone       Action = "none"       // nothing is left to do: it is final, over, or not selected
	ActionFinish     Action = "finish"     // validate it with Manager.Solve: that costs nothing
	ActionDeactivate Action = "deactivate" // RFC 8555 §7.5.2
	ActionAnswer     Action = "answer"     // answer a challenge and let it fail (RFC 8555 §7.5.1)
	ActionLeave      Action = "leave"      // it ends by itself, and clearing it would cost more than it gains
	ActionWait       Action = "wait"       // this CA has no way but to wait for its end
	ActionSpare      Action = "spare"      // a client may be about to use it
	ActionDefer      Action = "defer"      // the failure budget of its identifier is used up for now
)

// Changes reports whether a is one of the actions that change something.
func (a Action) Changes() bool {
	return a == ActionFinish || a == ActionDeactivate || a == ActionAnswer
}

// A Decision is what [Manager.Clear] chose to do about an authorization, and
// why.
type Decision struct {
	// Action is what was chosen. It is empty in the results of the methods
	// that do as they are told, List, Deactivate and Validate.
	Action Action

	// Reason says why, a sentence without an end.
	Reason string

	// At is when the authorization ends by itself (ActionLeave, ActionWait,
	// ActionSpare) or when there will be budget for it (ActionDefer). It is
	// zero if that is not known.
	At time.Time

	// Orders are the orders that list the authorization and are not over, as
	// far as they are known: with ActionSpare those that it is spared for,
	// else those that become invalid.
	Orders []string

	// Failures is how many failed validations the CA counts for it at most.
	Failures int
}

// A Policy says how [Manager.Clear] chooses. The zero Policy is the careful
// one.
type Policy struct {
	// Method is the only way to change an authorization: ActionDeactivate,
	// ActionAnswer or ActionFinish. If it is empty, the CA's Profile decides,
	// which may be to leave it alone.
	Method Action

	// KeepYounger is how old an authorization that nothing is known of, or its
	// order, must be before it counts as left behind. If it is zero, it is an
	// hour; if it is negative, everything does.
	KeepYounger time.Duration

	// Disturb clears also what living orders need.
	Disturb bool

	// Overspend goes beyond the CA's limit on failures. The CA then refuses
	// orders for the names concerned.
	Overspend bool
}

func (p Policy) keepYounger() time.Duration {
	if p.KeepYounger == 0 {
		return time.Hour
	}
	return p.KeepYounger
}

// A KnownOrder is an order that lists an authorization.
type KnownOrder struct {
	// URL is the order's, or empty if it is not known.
	URL string

	// Created is when it was made; zero if that is not known.
	Created time.Time

	// Run is what is known of the client that made it.
	Run RunState
}

// A RunState is whether the client that made an order is still at work on it.
type RunState int

// The states of a client's run.
const (
	RunUnknown RunState = iota // nobody knows: the order's age decides
	RunActive                  // it is at work
	RunEnded                   // it has ended, and will not come back to the order
)

// decide chooses what to do about an authorization that was just read. It
// spends from the budget if the choice costs something.
func (s *session) decide(ctx context.Context, a *acme.Authorization, b *budget, forced Action) (Decision, error) {
	now := time.Now()
	if d, over := s.nothingToDo(a, now); over {
		return d, nil
	}
	living, err := s.living(ctx, a, now)
	if err != nil {
		return Decision{}, err
	}
	if living.spares && !s.m.Policy.Disturb {
		return Decision{Action: ActionSpare, Reason: living.reason, At: a.Expires, Orders: living.orders}, nil
	}
	d := s.choose(a, now, forced)
	if !d.Action.Changes() {
		return d, nil
	}
	d.Orders = living.orders
	return s.afford(d, a, b, now), nil
}

// nothingToDo is the decision about what is over already.
func (s *session) nothingToDo(a *acme.Authorization, now time.Time) (Decision, bool) {
	none := func(format string, arguments ...any) (Decision, bool) {
		return Decision{Action: ActionNone, Reason: fmt.Sprintf(format, arguments...)}, true
	}
	switch {
	case final(a.Status):
		return none("it is %s", a.Status)
	case !a.Expires.IsZero() && now.After(a.Expires):
		return none("its time ended on %s, whatever the CA calls it", a.Expires.UTC().Format(time.RFC3339))
	case s.m.Select != nil && !s.m.Select(a):
		return none("it is not selected")
	}
	return Decision{}, false
}

// choose picks the cheapest way at this CA, or the one that is forced.
func (s *session) choose(a *acme.Authorization, now time.Time, forced Action) Decision {
	if forced == "" {
		forced = s.m.Policy.Method
	}
	p := s.profile
	switch deactivate := s.deactivation(); {
	case forced != "":
		return Decision{Action: forced, Reason: "as told"}
	case s.canSolve(a):
		return Decision{Action: ActionFinish, Reason: "it can be validated, which costs nothing and leaves no trace"}
	case p.Answer == EffectImpossible && deactivate == EffectUnknown:
		return Decision{Action: ActionLeave, At: a.Expires, Reason: "this CA validates names by other means; the authorization is in nobody's way"}
	case deactivate == EffectCosmetic:
		return Decision{Action: ActionLeave, At: a.Expires, Reason: "this CA changes the word only when asked to deactivate; nothing is gained"}
	case p.Failures.Deactivation && p.PendingLimit == 0 && p.heals(a):
		return Decision{Action: ActionLeave, At: a.Expires, Reason: "it ends by itself and is in nobody's way; to deactivate it would count as a failed validation"}
	case deactivate == EffectSettles:
		return Decision{Action: ActionDeactivate, Reason: "this CA deactivates at once"}
	case deactivate == EffectUnknown:
		return Decision{Action: ActionDeactivate, Reason: "nobody knows this CA; RFC 8555 says that deactivating works"}
	case p.Answer == EffectSettles:
		return Decision{Action: ActionAnswer, Reason: "this CA does not deactivate; a failed answer settles it"}
	}
	return Decision{Action: ActionWait, At: a.Expires, Reason: "this CA does not deactivate, and a failed answer leaves it pending"}
}

// heals reports whether the authorization ends by itself.
func (p *Profile) heals(a *acme.Authorization) bool {
	return !a.Expires.IsZero() || len(p.PendingLifetimes) > 0
}

// deactivation is what deactivating does here, by the profile and by what the
// CA has shown since.
func (s *session) deactivation() Effect {
	switch {
	case s.refusals.Load() > 0 && !s.deactivated.Load():
		return EffectRefused
	case s.ignores.Load() && !s.deactivated.Load():
		return EffectIgnored
	}
	return s.profile.Deactivate
}

// afford takes what the decision costs from the budget, or defers it.
func (s *session) afford(d Decision, a *acme.Authorization, b *budget, now time.Time) Decision {
	if !s.profile.counts(d.Action) {
		return d
	}
	d.Failures = 1
	if s.m.Policy.Overspend {
		b.charge(s.profile.Failures, s.kid, a, now, 1)
		return d
	}
	at, ok := b.spend(s.profile.Failures, s.kid, a, now)
	switch {
	case ok:
		return d
	case at.IsZero():
		return Decision{Action: ActionLeave, At: a.Expires, Orders: d.Orders,
			Reason: "so many failures in a row without a success would make the CA pause the name"}
	case !a.Expires.IsZero() && at.After(a.Expires):
		return Decision{Action: ActionLeave, At: a.Expires, Orders: d.Orders,
			Reason: "it ends by itself before its name has failures to spare"}
	}
	f := s.profile.Failures
	return Decision{Action: ActionDefer, At: at, Orders: d.Orders,
		Reason: fmt.Sprintf("its name has no failures to spare now: this CA allows %d in %s", f.Count, words(f.Window))}
}

// words is a duration without zero parts.
func words(d time.Duration) string {
	switch {
	case d%time.Hour == 0:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d%time.Minute == 0:
		return fmt.Sprintf("%dm", d/time.Minute)
	}
	return d.String()
}

// A livelihood is whether somebody may still need an authorization.
type livelihood struct {
	spares bool
	reason string
	orders []string // that are not over
}

// living finds out whether a client may be about to use the authorization.
func (s *session) living(ctx context.Context, a *acme.Authorization, now time.Time) (livelihood, error) {
	known := s.knownOrders(a.URI)
	if len(known) == 0 {
		return s.livingByAge(a, now), nil
	}
	var l livelihood
	for _, o := range known {
		spares, reason, err := s.livingOrder(ctx, a, o, now)
		if err != nil {
			return l, err
		}
		if reason == "" {
			continue // over
		}
		if o.URL != "" {
			l.orders = append(l.orders, o.URL)
		}
		if spares {
			l.spares, l.reason = true, reason
		}
	}
	return l, nil
}

// livingByAge decides without an order: what was made just now may be in use.
func (s *session) livingByAge(a *acme.Authorization, now time.Time) livelihood {
	age, known := s.profile.age(a, now)
	if limit := s.m.Policy.keepYounger(); known && age < limit {
		return livelihood{spares: true, reason: fmt.Sprintf(
			"it may have been made only %s ago, and its order is not known", age.Round(time.Minute))}
	}
	return livelihood{}
}

// livingOrder decides by one order. The reason is empty if the order is over.
func (s *session) livingOrder(ctx context.Context, a *acme.Authorization, o KnownOrder, now time.Time) (spares bool, reason string, err error) {
	var order Order
	if o.URL != "" {
		if order, err = s.cachedOrder(ctx, o.URL); err != nil {
			return false, "", err
		}
	}
	if order.Status != "" && !s.profile.OrderHides && !slices.Contains(order.Authorizations, a.URI) {
		return false, "", nil // it is another's, whatever was said of it
	}
	switch order.Status {
	case acme.StatusReady, acme.StatusProcessing:
		return true, "its order is " + order.Status + " and can still become a certificate", nil
	case acme.StatusInvalid, acme.StatusValid:
		return false, "", nil
	}
	switch {
	case order.Err != nil:
		return false, "", nil // it is gone, or another account's
	case o.Run == RunActive:
		return true, "the client that made its order is at work", nil
	case o.Run == RunEnded:
		return false, "left behind", nil
	}
	age, known := now.Sub(o.Created), !o.Created.IsZero()
	if !known {
		age, known = s.profile.age(a, now)
	}
	if known && age < s.m.Policy.keepYounger() {
		return true, fmt.Sprintf("its order is pending and only %s old", age.Round(time.Minute)), nil
	}
	return false, "old enough", nil
}

func (s *session) knownOrders(url string) []KnownOrder {
	if s.m.KnownOrders == nil {
		return nil
	}
	return s.m.KnownOrders(url)
}

func (s *session) canSolve(a *acme.Authorization) bool {
	return s.m.Solve != nil && (s.m.CanSolve == nil || s.m.CanSolve(a))
}
