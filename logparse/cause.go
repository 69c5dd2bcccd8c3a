package logparse

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Why an authorization was left pending. The first of these that applies is the cause:
//
//  1. something failed at the client, for its order: check, hook, DNS, network, or the client was interrupted;
//  2. another name of its order failed;
//  3. the CA refused a request for its order: rate limited, request refused;
//  4. the client asked for other names instead, right after;
//  5. the run stops, or ends by a signal, while its order is the last it made: killed;
//  6. the client gave up because of a request that it repeats otherwise: request refused;
//  7. unknown.
//
// What failed belongs to an order if the log says so, and else to the one that the run worked on at the time: the last that
// it had made. That the CA refuses to make another order is no failure of that one.

// supersedes is how soon after an order another one with other names must follow to have taken its place.
const supersedes = time.Hour

// Evidence is a line of a log that proves something.
type Evidence struct {
	Place
	Text string // what it says, in words or as logged
}

// explain finds the cause of a leak.
func (s *snapshot) explain(l *Life, o *order) {
	for _, find := range []func(*Life, *order) bool{s.failed, s.sibling, s.refused, s.superseded, s.killed, s.gaveUp} {
		if o != nil && find(l, o) {
			return
		}
	}
	l.Cause = CauseUnknown
	l.Evidence = append(l.Evidence, Evidence{l.Last, "last seen, " + cmp.Or(l.Status, "without a status")})
	if o != nil && !o.last.run().ended.isZero() {
		l.Evidence = append(l.Evidence, o.last.run().end())
	}
}

// end returns the end of the run as evidence.
func (t *track) end() Evidence {
	return Evidence{t.ended.place(), strings.Trim("the run ends: "+cmp.Or(t.message, t.exit), ": ")}
}

// failed finds a failure at the client.
func (s *snapshot) failed(l *Life, o *order) bool {
	for _, t := range s.troubles(o) {
		if t.cause == "" || t.cause == CauseRefused || t.cause == CauseRateLimited {
			continue
		}
		l.Cause, l.Blame = t.cause, t.identifier
		l.Evidence = append(l.Evidence, Evidence{t.place(), t.text})
		return true
	}
	return false
}

// sibling finds another name that failed.
func (s *snapshot) sibling(l *Life, o *order) bool {
	v := s.invalid(o)
	if v == nil {
		return false
	}
	l.Cause, l.Blame = CauseSibling, v.identifier
	text := "invalid"
	if v.identifier.Value != "" {
		text = v.identifier.Value + " is invalid"
	}
	if v.problem != nil {
		text += ": " + v.problem.text
	}
	l.Evidence = append(l.Evidence, Evidence{v.failed().place(), text})
	if next := s.successor(o); next != nil {
		l.Evidence = append(l.Evidence, Evidence{next.first.place(), "then asked for " + nameCount(next)})
	}
	return true
}

// invalid returns the authorization of an order that failed first, nil if none did.
func (s *snapshot) invalid(o *order) (found *life) {
	if v, ok := s.failures[o]; ok {
		return v
	}
	look := func(l *life) {
		if l.status.status != "invalid" && (l.problem == nil || rank(l.status.status) < 3) {
			return
		}
		if found == nil || cmp.Or(l.failed().compare(found.failed()), strings.Compare(l.identifier.Value, found.identifier.Value)) < 0 {
			found = l
		}
	}
	for l := range o.authorizations {
		look(l)
	}
	for _, l := range o.names {
		look(l)
	}
	if found != nil && found.identifier.Value == "" {
		if named := s.invalidName(o); named != nil {
			found = named
		}
	}
	s.failures[o] = found
	return found
}

// failed returns when a challenge of the authorization failed, as far as the log tells.
func (l *life) failed() moment {
	m := l.status.moment
	if l.problem != nil {
		m.earlier(l.problem.moment)
	}
	return m
}

// invalidName returns an authorization of an order that failed and whose name is known.
func (s *snapshot) invalidName(o *order) (found *life) {
	for _, l := range o.names {
		if l.status.status == "invalid" && (found == nil || l.identifier.Value < found.identifier.Value) {
			found = l
		}
	}
	return found
}

// refused finds a request that the CA refused.
func (s *snapshot) refused(l *Life, o *order) bool {
	for _, t := range s.troubles(o) {
		if t.cause == CauseRefused || t.cause == CauseRateLimited {
			l.Cause, l.Blame = t.cause, t.identifier
			l.Evidence = append(l.Evidence, Evidence{t.place(), t.text})
			return true
		}
	}
	return false
}

// superseded finds the order that took the place of this one.
func (s *snapshot) superseded(l *Life, o *order) bool {
	next := s.successor(o)
	if next == nil || next.first.run() != o.first.run() {
		return false
	}
	l.Cause = CauseSuperseded
	l.Evidence = append(l.Evidence, Evidence{next.first.place(), "then asked for " + nameCount(next)})
	return true
}

func nameCount(o *order) string {
	if len(o.identifiers) == 1 {
		return "one name"
	}
	return fmt.Sprintf("%d names", len(o.identifiers))
}

// killed finds that the run stops.
func (s *snapshot) killed(l *Life, o *order) bool {
	r := o.last.run()
	if r.key.line == 0 || !s.isLast(o, r) || !r.ended.isZero() && !bySignal(r.exit) {
		return false
	}
	l.Cause = CauseKilled
	if !r.ended.isZero() {
		l.Evidence = append(l.Evidence, r.end())
		return true
	}
	if !r.started.isZero() {
		l.Evidence = append(l.Evidence, Evidence{r.started.place(), "the run starts"})
	}
	last, text := r.last.place(), "the last line of the run"
	if !r.stopped.isZero() {
		last, text = r.stopped.place(), text+": "+r.lastText
	}
	l.Evidence = append(l.Evidence, Evidence{last, text})
	return true
}

// isLast reports whether an order is the last that a run made.
func (s *snapshot) isLast(o *order, r *track) bool {
	orders := s.ordersOf[r]
	return len(orders) > 0 && orders[len(orders)-1] == o
}

// bySignal reports whether a run that ended like this was ended by somebody else: "killed", "signal 9", and the statuses
// that shells and timeout(1) give for that.
func bySignal(exit string) bool {
	switch exit {
	case "status 124", "status 130", "status 137", "status 143":
		return true
	}
	return strings.HasPrefix(exit, "killed") || strings.HasPrefix(exit, "signal")
}

// gaveUp finds a request that was refused although nothing is wrong with it, in a run that ended with that.
func (s *snapshot) gaveUp(l *Life, o *order) bool {
	r := o.last.run()
	t := r.nonce
	if t.isZero() || r.ended.isZero() || r.exit == "" || t.order != o.id && s.orderAt(r, t.moment) != o {
		return false
	}
	l.Cause = CauseRefused
	l.Evidence = append(l.Evidence, Evidence{t.place(), t.text}, r.end())
	return true
}

// troubles returns what went wrong with an order, by time.
func (s *snapshot) troubles(o *order) []trouble {
	if s.troublesOf == nil {
		s.assignTroubles()
	}
	return s.troublesOf[o]
}

// assignTroubles finds the orders of what went wrong.
func (s *snapshot) assignTroubles() {
	s.troublesOf = make(map[*order][]trouble)
	for _, o := range s.all {
		if len(o.trouble) > 0 {
			s.troublesOf[o] = slices.Clone(o.trouble)
		}
	}
	for r := range s.ordersOf {
		for _, t := range r.trouble {
			if o := s.orderOfTrouble(r, t); o != nil {
				s.troublesOf[o] = append(s.troublesOf[o], t)
			}
		}
	}
	for _, all := range s.troublesOf {
		slices.SortFunc(all, trouble.compare)
	}
}

func (s *snapshot) orderOfTrouble(r *track, t trouble) *order {
	switch {
	case t.newOrder:
		return nil
	case t.order != "":
		return s.h.orders[t.order]
	case t.url != "":
		return s.orderOf[t.url]
	}
	return s.orderAt(r, t.moment)
}

// orderAt returns the order that a run worked on at some moment: the last that was first seen before.
func (s *snapshot) orderAt(r *track, m moment) (o *order) {
	orders := s.ordersOf[r]
	i, ok := slices.BinarySearchFunc(orders, m, func(o *order, m moment) int { return o.first.compare(m) })
	if !ok {
		i--
	}
	if i < 0 {
		return nil
	}
	return orders[i]
}

// successor returns the order that the client made in place of o, if there is one: right after it, for some of the same
// names; and if it is of another run, for others too, as the next renewal is for the same.
func (s *snapshot) successor(o *order) *order {
	if next, ok := s.successors[o]; ok {
		return next
	}
	next := s.findSuccessor(o)
	s.successors[o] = next
	return next
}

func (s *snapshot) findSuccessor(o *order) *order {
	group := s.neighbours[o.neighbourhood()]
	i, _ := slices.BinarySearchFunc(group, o, compareOrders)
	const look = 16 // orders of other certificates may come in between
	for _, next := range group[min(i+1, len(group)):min(i+1+look, len(group))] {
		if o.first.micros != 0 && next.first.when().Sub(o.first.when()) > supersedes {
			break
		}
		if same, all := overlap(o.identifiers, next.identifiers); same && (!all || next.first.run() == o.first.run()) {
			return next
		}
	}
	return nil
}

// overlap reports whether a and b have names in common, and whether they have all.
func overlap(a, b []Identifier) (some, all bool) {
	set := make(map[Identifier]bool, len(a))
	for _, id := range a {
		set[id] = true
	}
	same := 0
	for _, id := range b {
		if set[id] {
			same++
		}
	}
	return same > 0, same == len(a) && same == len(b)
}

// A neighbourhood is where an order that takes another's place comes from.
type neighbourhood struct{ host, client, account string }

func (o *order) neighbourhood() neighbourhood {
	return neighbourhood{o.first.run().key.host, o.first.run().key.client, o.account}
}

func compareOrders(a, b *order) int {
	return cmp.Or(a.first.compare(b.first), strings.Compare(a.id, b.id))
}
