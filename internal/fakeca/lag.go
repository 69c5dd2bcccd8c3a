package fakeca

import (
	"slices"
	"time"
)

// A past is what a resource was like before a change, and until when a replica shows it.
type past[T any] struct {
	until time.Time
	state T
}

// shown is the oldest past that a replica still shows, or the present.
func shown[T any](pasts []past[T], present T) T {
	now := time.Now()
	for _, p := range pasts {
		if now.Before(p.until) {
			return p.state
		}
	}
	return present
}

// forget drops what no replica shows any more.
func forget[T any](pasts []past[T]) []past[T] {
	now := time.Now()
	return slices.DeleteFunc(pasts, func(p past[T]) bool { return !now.Before(p.until) })
}

// lags reports whether reading shows the past at all.
func (ca *CA) lags() bool { return ca.config.Behavior == Boulder && ca.config.Lag > 0 }

// remember keeps an authorization as it is before a change at a time, which is never after now.
func (ca *CA) remember(a *authorization, at time.Time) {
	if !ca.lags() {
		return
	}
	before := *a
	before.past, before.challenges = nil, nil
	for _, c := range a.challenges {
		clone := *c
		before.challenges = append(before.challenges, &clone)
	}
	a.past = forget(append(a.past, past[*authorization]{at.Add(ca.config.Lag), &before}))
}

// rememberOrder keeps an order as it is before a change now.
func (ca *CA) rememberOrder(o *order) {
	if !ca.lags() {
		return
	}
	before := *o
	before.past = nil
	o.past = forget(append(o.past, past[*order]{time.Now().Add(ca.config.Lag), &before}))
}

// replica is an authorization as reading shows it.
func (ca *CA) replica(a *authorization) *authorization { return shown(a.past, a) }

// replicaOrder is an order as reading shows it, with its authorizations as reading shows them.
func (ca *CA) replicaOrder(o *order) *order {
	if !ca.lags() {
		return o
	}
	seen := *shown(o.past, o)
	seen.authorizations = nil
	for _, a := range o.authorizations {
		seen.authorizations = append(seen.authorizations, ca.replica(a))
	}
	return &seen
}
